using Google.Protobuf;
using Kwik.Data;

namespace Kwik.Sessions;

/// <summary>What a client wants to have of a content, for which public stream, and what it shows for it.</summary>
/// <param name="StreamId">The public stream.</param>
/// <param name="Root">The content.</param>
/// <param name="End">Offset behind the last byte; 0 for hashes.</param>
/// <param name="Grant">A signed statement, or nothing.</param>
internal readonly record struct ContentAccess(ulong StreamId, ContentRoot Root, ulong End, ByteString Grant);
