using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;

namespace Kwik.Sessions;

/// <summary>
/// Checks offline what a primary signed: a path token or a grant. Safe for concurrent use. Says yes or no and never why:
/// the peer learns one code for every cause.
/// </summary>
internal sealed class StatementVerifier(IReadOnlyList<PrimaryPublicKey> trusted, TimeProvider time)
{
    /// <summary>Clocks of servers may differ by this much.</summary>
    public static TimeSpan Skew { get; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a path token or a grant is valid.</summary>
    public static TimeSpan Lifetime { get; } = TimeSpan.FromMinutes(10);

    /// <summary>When the next one is made.</summary>
    public static TimeSpan RenewAfter { get; } = Lifetime / 2;

    private long Now => time.GetUtcNow().ToUnixTimeSeconds();

    /// <summary>True when the token lets this client, on this session, connect to a server with this key, now.</summary>
    public bool AdmitsConnection(ReadOnlySpan<byte> token, ReadOnlySpan<byte> sessionId, KeyHash clientKey, KeyHash serverKey, out int pathId)
    {
        pathId = -1;
        if (Verified(token)?.PathToken is not { } path
            || !path.SessionId.Span.SequenceEqual(sessionId)
            || !path.ClientKey.Span.SequenceEqual(clientKey.Bytes)
            || !Contains(path.ServerKeys, serverKey)
            || Now < path.NotBefore - Skew.TotalSeconds
            || Now > path.Expires + Skew.TotalSeconds)
        {
            return false;
        }

        pathId = path.PathId is > 0 and <= int.MaxValue ? (int)path.PathId : -1;
        return pathId > 0;
    }

    /// <summary>The grant, when it is valid for this client on this session, now; else null.</summary>
    public Grant? Grant(ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> sessionId, KeyHash clientKey) =>
        Verified(bytes)?.Grant is { } grant
        && grant.SessionId.Span.SequenceEqual(sessionId)
        && grant.ClientKey.Span.SequenceEqual(clientKey.Bytes)
        && grant.Root.Length == ContentRoot.Size
        && !HasExpired(grant)
            ? grant
            : null;

    /// <summary>True when no new request is served under this grant.</summary>
    public bool HasExpired(Grant grant) => Now > grant.Expires + Skew.TotalSeconds;

    private static bool Contains(IEnumerable<ByteString> keys, KeyHash key)
    {
        foreach (ByteString candidate in keys)
        {
            if (candidate.Span.SequenceEqual(key.Bytes))
            {
                return true;
            }
        }

        return false;
    }

    private Statement? Verified(ReadOnlySpan<byte> bytes) =>
        ProtoMessage.TryParse(SignedStatement.Parser, bytes) is { } signed
        && trusted.Any(key => key.Id == signed.KeyId && key.Verifies(signed))
            ? ProtoMessage.TryParse(Statement.Parser, signed.Statement.Span)
            : null;
}
