using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using ContentOffer = Kwik.Data.ContentOffer;

namespace Kwik.Sessions;

/// <summary>
/// A grant as its client holds it. The client cannot check the signature, and needs not; its age counts from its arrival, so
/// that no wall clock but the servers' own matters.
/// </summary>
internal sealed class HeldGrant(ByteString bytes, TimeProvider time)
{
    /// <summary>So that requests that show it stay small.</summary>
    public const int MaxSize = 3 * 1024;

    private readonly long _receivedAt = time.GetTimestamp();

    public ByteString Bytes => bytes;

    /// <summary>The next one should be here: a server that refuses this one may be right.</summary>
    public bool IsOld => time.GetElapsedTime(_receivedAt) > StatementVerifier.RenewAfter;

    /// <summary>False for bytes that are no grant of this content to this client on this session.</summary>
    public static bool Is(ByteString bytes, Guid sessionId, KeyHash clientKey, ContentOffer offer) =>
        bytes.Length <= MaxSize
        && ProtoMessage.TryParse(SignedStatement.Parser, bytes.Span) is { Signature.Length: 64 } signed
        && ProtoMessage.TryParse(Statement.Parser, signed.Statement.Span)?.Grant is { } grant
        && grant.SessionId.Span.SequenceEqual(sessionId.ToByteArray(bigEndian: true))
        && grant.ClientKey.Span.SequenceEqual(clientKey.Bytes)
        && grant.Root.Span.SequenceEqual(offer.Root.ToByteArray())
        && grant.Length == (ulong)offer.Length
        && grant.Expires > 0;
}
