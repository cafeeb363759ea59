using Google.Protobuf;
using Kwik.Data.Wire;
using Kwik.Sessions;

namespace Kwik.Session.Tests.Security;

/// <summary>A client reads of a token how long it lives, and nothing else.</summary>
public sealed class HeldTokenTests
{
    private static readonly Guid Session = new("00112233-4455-6677-8899-aabbccddeeff");

    private readonly Clock _clock = new();

    [Theory]
    [InlineData(0, false, false)]
    [InlineData(299, false, false)]
    [InlineData(301, true, false)]
    [InlineData(599, true, false)]
    [InlineData(601, true, true)]
    public void Token_OfTenMinutes_AgesFromItsArrival(int seconds, bool old, bool expired)
    {
        HeldToken token = HeldToken.TryRead(Token(), Session, 3, _clock)!;

        _clock.Seconds += seconds;

        Assert.Equal(old, token.IsOld);
        Assert.Equal(expired, token.HasExpired);
    }

    [Theory]
    [InlineData(-1, 599)]
    [InlineData(100, 100)]
    [InlineData(100, 99)]
    [InlineData(long.MinValue, long.MaxValue)]
    [InlineData(0, long.MaxValue)]
    [InlineData(0, (24 * 60 * 60) + 1)]
    public void Token_WithALifeThatMakesNoSense_IsNone(long notBefore, long expires) =>
        Assert.Null(HeldToken.TryRead(Token(notBefore, expires), Session, 3, _clock));

    [Fact]
    public void Token_ForAnotherSessionOrPath_IsNone()
    {
        Assert.Null(HeldToken.TryRead(Token(), Guid.Empty, 3, _clock));
        Assert.Null(HeldToken.TryRead(Token(), Session, 4, _clock));
    }

    [Fact]
    public void Token_CutAnywhere_IsNone()
    {
        ByteString token = Token();
        for (int length = 0; length < token.Length; length++)
        {
            Assert.Null(HeldToken.TryRead(ByteString.CopyFrom(token.Span[..length]), Session, 3, _clock));
        }
    }

    [Fact]
    public void Token_TooLargeForAuthenticate_IsNone() =>
        Assert.Null(HeldToken.TryRead(Token(keyId: new byte[HeldToken.MaxSize]), Session, 3, _clock));

    private static ByteString Token(long notBefore = 1_000_000, long expires = 1_000_600, byte[]? keyId = null)
    {
        var token = new PathToken
        {
            SessionId = ByteString.CopyFrom(Session.ToByteArray(bigEndian: true)),
            PathId = 3,
            NotBefore = notBefore,
            Expires = expires,
        };
        return new SignedStatement
        {
            Statement = new Statement { PathToken = token }.ToByteString(),
            Signature = ByteString.CopyFrom(new byte[64]),
            KeyId = ByteString.CopyFrom(keyId ?? new byte[8]),
        }.ToByteString();
    }

    private sealed class Clock : TimeProvider
    {
        public long Seconds { get; set; }

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => Seconds;
    }
}
