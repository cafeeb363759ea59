using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// Pushed bytes will not come any more from whom they were granted to; that grant has ended. The primary's application
/// answers with <see cref="KwikStream.WriteAtAsync"/> or grants the range to another path; otherwise the stream ends with
/// <see cref="KwikError.AggregationTimeout"/>.
/// </summary>
/// <param name="StreamId">The public stream.</param>
/// <param name="Offset">The first byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="PathId">Who was to send them; 0 is the primary itself.</param>
/// <param name="Error">Why they will not come.</param>
public sealed record RangeLost(long StreamId, long Offset, long Length, int PathId, KwikError Error) : SessionEvent;

/// <summary>A server's fault was treated as <see cref="RecoveryOptions.Rules"/> says.</summary>
/// <param name="PathId">The server.</param>
/// <param name="StreamId">The public stream that bytes were expected for.</param>
/// <param name="Error">The fault.</param>
/// <param name="Action">What was done.</param>
/// <param name="Reason">For people.</param>
public sealed record FaultTreated(int PathId, long StreamId, KwikError Error, RecoveryAction Action, string Reason) : SessionEvent;

/// <summary>A server did what the protocol forbids; more than 16 times, and its path is taken out.</summary>
/// <param name="PathId">The server.</param>
/// <param name="Error">The rule.</param>
/// <param name="Reason">For people.</param>
public sealed record RuleBroken(int PathId, KwikError Error, string Reason) : SessionEvent;
