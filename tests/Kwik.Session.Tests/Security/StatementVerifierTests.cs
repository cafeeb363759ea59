using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;

namespace Kwik.Session.Tests.Security;

/// <summary>A token or grant is good for one client, one session, one server or content, and a time.</summary>
public sealed class StatementVerifierTests : IDisposable
{
    private static readonly byte[] SessionId = [.. Enumerable.Range(0, 16).Select(i => (byte)i)];
    private static readonly KeyHash Client = KeyHash.OfPublicKey("client"u8);
    private static readonly KeyHash Server = KeyHash.OfPublicKey("server"u8);
    private static readonly KeyHash Stranger = KeyHash.OfPublicKey("stranger"u8);

    private readonly PrimaryKey _key = PrimaryKey.Create();
    private readonly Clock _clock = new();
    private readonly StatementVerifier _verifier;

    public StatementVerifierTests() => _verifier = new StatementVerifier([_key.PublicKey], _clock);

    public void Dispose() => _key.Dispose();

    [Fact]
    public void PathToken_ForThisClientSessionAndServer_Admits()
    {
        Assert.True(_verifier.AdmitsConnection(Token(), SessionId, Client, Server, out int pathId));
        Assert.Equal(3, pathId);
    }

    [Fact]
    public void PathToken_ForAnotherClientSessionOrServer_DoesNotAdmit()
    {
        Assert.False(_verifier.AdmitsConnection(Token(), SessionId, Stranger, Server, out _));
        Assert.False(_verifier.AdmitsConnection(Token(), SessionId, Client, Stranger, out _));
        Assert.False(_verifier.AdmitsConnection(Token(), new byte[16], Client, Server, out _));
    }

    [Theory]
    [InlineData(-31, false)]
    [InlineData(-29, true)]
    [InlineData(600 + 29, true)]
    [InlineData(600 + 31, false)]
    public void PathToken_OutsideItsTimeAndTheSkew_DoesNotAdmit(int seconds, bool admitted)
    {
        byte[] token = Token();
        _clock.Seconds += seconds;
        Assert.Equal(admitted, _verifier.AdmitsConnection(token, SessionId, Client, Server, out _));
    }

    [Fact]
    public void PathToken_SignedBySomebodyElse_DoesNotAdmit()
    {
        using PrimaryKey other = PrimaryKey.Create();
        Assert.False(_verifier.AdmitsConnection(other.Sign(PathStatement()), SessionId, Client, Server, out _));
    }

    [Fact]
    public void PathToken_WithTheKeyIdOfATrustedKey_StillNeedsItsSignature()
    {
        using PrimaryKey other = PrimaryKey.Create();
        SignedStatement forged = SignedStatement.Parser.ParseFrom(other.Sign(PathStatement()));
        forged.KeyId = _key.PublicKey.Id;
        Assert.False(_verifier.AdmitsConnection(forged.ToByteArray(), SessionId, Client, Server, out _));
    }

    [Fact]
    public void PathToken_WithAnyBitFlipped_DoesNotAdmit()
    {
        byte[] token = Token();
        for (int bit = 0; bit < token.Length * 8; bit++)
        {
            byte[] flipped = [.. token];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(_verifier.AdmitsConnection(flipped, SessionId, Client, Server, out _), $"Bit {bit} does not matter.");
        }
    }

    [Fact]
    public void PathToken_CutAnywhere_DoesNotAdmit()
    {
        byte[] token = Token();
        for (int length = 0; length < token.Length; length++)
        {
            Assert.False(_verifier.AdmitsConnection(token.AsSpan(0, length), SessionId, Client, Server, out _));
        }
    }

    [Fact]
    public void Grant_UsedAsAPathToken_DoesNotAdmit()
    {
        Assert.False(_verifier.AdmitsConnection(_key.Sign(GrantStatement()), SessionId, Client, Server, out _));
        Assert.Null(_verifier.Grant(Token(), SessionId, Client));
    }

    [Fact]
    public void Grant_ForThisClientAndSession_IsGood()
    {
        byte[] grant = _key.Sign(GrantStatement());
        Assert.Equal(1000u, _verifier.Grant(grant, SessionId, Client)?.Length);
        Assert.Null(_verifier.Grant(grant, SessionId, Stranger));
        Assert.Null(_verifier.Grant(grant, new byte[16], Client));
        _clock.Seconds += 31;
        Assert.Null(_verifier.Grant(grant, SessionId, Client));
    }

    private byte[] Token() => _key.Sign(PathStatement());

    private Statement PathStatement()
    {
        var token = new PathToken
        {
            SessionId = ByteString.CopyFrom(SessionId),
            PathId = 3,
            ClientKey = ByteString.CopyFrom(Client.Bytes),
            NotBefore = _clock.Seconds,
            Expires = _clock.Seconds + 600,
        };
        token.ServerKeys.Add(ByteString.CopyFrom(Server.Bytes));
        return new Statement { PathToken = token };
    }

    private Statement GrantStatement() => new()
    {
        Grant = new Grant
        {
            SessionId = ByteString.CopyFrom(SessionId),
            ClientKey = ByteString.CopyFrom(Client.Bytes),
            Root = ByteString.CopyFrom(new byte[ContentRoot.Size]),
            Length = 1000,
            Expires = _clock.Seconds,
        },
    };

    private sealed class Clock : TimeProvider
    {
        public long Seconds { get; set; } = 1_900_000_000;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeSeconds(Seconds);
    }
}
