using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;

namespace Kwik.Sessions;

/// <summary>
/// A path token as its client holds it. The client cannot check the signature, and needs not: it reads how long the token
/// lives, and counts that from the moment of its arrival, so that no wall clock but the servers' own matters.
/// </summary>
internal sealed class HeldToken
{
    /// <summary>A longer one does not fit into Authenticate.</summary>
    public const int MaxSize = 3 * 1024;

    private static readonly TimeSpan MaxLifetime = TimeSpan.FromDays(1);

    private readonly TimeProvider _time;
    private readonly long _receivedAt;
    private readonly TimeSpan _lifetime;

    private HeldToken(ByteString bytes, TimeSpan lifetime, TimeProvider time)
    {
        Bytes = bytes;
        _lifetime = lifetime;
        _time = time;
        _receivedAt = time.GetTimestamp();
    }

    public ByteString Bytes { get; }

    /// <summary>A new one should be asked for.</summary>
    public bool IsOld => Age > _lifetime / 2;

    /// <summary>No server admits it any more.</summary>
    public bool HasExpired => Age > _lifetime;

    private TimeSpan Age => _time.GetElapsedTime(_receivedAt);

    /// <summary>Null for bytes that are no token for this path of this session, or one that lives no time between 1 s and a day.</summary>
    public static HeldToken? TryRead(ByteString bytes, Guid sessionId, uint pathId, TimeProvider time) =>
        bytes.Length <= MaxSize
        && ProtoMessage.TryParse(SignedStatement.Parser, bytes.Span) is { Signature.Length: 64 } signed
        && ProtoMessage.TryParse(Statement.Parser, signed.Statement.Span)?.PathToken is { } token
        && token.PathId == pathId
        && token.SessionId.Span.SequenceEqual(sessionId.ToByteArray(bigEndian: true))
        && token.NotBefore >= 0
        && token.Expires > token.NotBefore
        && token.Expires - token.NotBefore <= MaxLifetime.TotalSeconds
            ? new(bytes, TimeSpan.FromSeconds(token.Expires - token.NotBefore), time)
            : null;
}
