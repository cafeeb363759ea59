using Google.Protobuf;
using Kwik.Data;
using Kwik.Streams;
using Kwik.Testing;
using WireError = Kwik.Data.Wire.XStreamError;
using WireKind = Kwik.Data.Wire.XStreamErrorKind;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Error substreams of peers that say whatever they please, byte by byte, and of applications that say too much.</summary>
public sealed class ErrorFrameTests
{
    private static readonly byte[] Payload = [1, 2, 3, 4, 5, 6, 7, 8];
    private static readonly WireError NoError = new() { Kind = WireKind.XstreamNoError };

    /// <summary>Bytes of the error substream, in hexadecimal, that no correct peer writes; and whether it ends behind them.</summary>
    public static TheoryData<string, bool> BadFrames => new()
    {
        { "0207", true }, // Cut.
        { "80", true }, // Cut in the length.
        { "0200", true },
        { "0108", false }, // A field without a value.
        { "010c", false }, // The end of a group that did not begin.
        { "03120a61", false }, // A message longer than its frame.
        { "0422000000", false }, // Field 0.
        { "040801120a", false }, // A message that is not there.
        { "818004", false }, // 64 KiB and a byte, of which nothing follows.
        { "ffffffff07", false }, // 2^31-1 bytes.
        { "ffffffffffffffffff01", false },
        { "ffffffffffffffffffff01", false }, // A length of more than 2^64.
    };

    /// <summary>Frames, in hexadecimal, that mean nothing, to this version.</summary>
    public static TheoryData<string> Unknown => ["00", "020800", "020b0c", "02084d", "0608ffffffff07", "03f80101", "0608054202ffff", "0412026869"];

    [Theory]
    [MemberData(nameof(BadFrames))]
    public void Frame_ThatIsNone_EndsTheStreamAndNotTheSession(string hex, bool isAll) => StreamEndTests.AtOpener(async (world, stream, main, error) =>
    {
        Task<int> reading = stream.ReadAsync(new byte[1]).AsTask();
        await main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload)));
        Assert.Equal(1, await reading);
        reading = ReadOnAsync(stream);
        await error.WriteAsync((byte[])[.. XStreamErrorCodec.Encode(Notification(1)), .. Convert.FromHexString(hex)], completeWrites: isAll);

        foreach (Task call in new[] { reading, stream.Closed })
        {
            XStreamException e = await Assert.ThrowsAsync<XStreamException>(() => call);
            Assert.Equal(
                (XStreamErrorKind.Protocol, KwikError.MetadataProtocolViolation, stream.Id), (e.Kind, e.Code, e.StreamId));
        }

        Assert.Equal(XStreamState.Error, stream.State);
        Assert.Equal("notification 1", (await stream.ReadErrorAsync())?.Message);
        Assert.Equal(
            KwikError.MetadataProtocolViolation, (await Assert.ThrowsAsync<XStreamException>(() => stream.ReadErrorAsync())).Code);
        await Assert.ThrowsAsync<XStreamException>(() => stream.WriteAsync(Payload).AsTask());
        Assert.Equal(isAll ? KwikError.None : KwikError.MetadataProtocolViolation, await PushScene.OutcomeAsync(error));
    });

    [Theory]
    [MemberData(nameof(Unknown))]
    public void Frame_OfAnUnknownKind_IsIgnored(string hex) => StreamEndTests.AtOpener(async (world, stream, main, error) =>
    {
        await error.WriteAsync(
            (byte[])[.. Convert.FromHexString(hex), .. XStreamErrorCodec.Encode(Notification(1)), .. XStreamErrorCodec.Encode(NoError)], completeWrites: true);
        await main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload), (StreamFrame.Close(8), [])), completeWrites: true);

        Assert.Equal("notification 1", (await stream.ReadErrorAsync())?.Message);
        Assert.Null(await stream.ReadErrorAsync());
        Assert.Equal(Payload, await stream.ReadToEndAsync());
        Assert.Equal(XStreamState.RemoteClosed, stream.State);
    });

    [Fact]
    public void Frames_ThatComeByteByByte_AreHeardAsTheyBecomeWhole() => StreamEndTests.AtOpener(async (world, stream, main, error) =>
    {
        for (int i = 1; i <= 3; i++)
        {
            Task<XStreamError?> hearing = stream.ReadErrorAsync();
            byte[] frame = XStreamErrorCodec.Encode(Notification(i, new string('x', 150)));
            for (int at = 0; at < frame.Length; at++)
            {
                await world.Delay(TimeSpan.FromMilliseconds(10));
                Assert.False(hearing.IsCompleted);
                await error.WriteAsync(frame.AsMemory(at, 1));
            }

            XStreamError? heard = await hearing;
            Assert.Equal((false, (ulong)i, (long)i), (heard!.IsFault, heard.Code, heard.Sequence));
        }

        byte[] last = XStreamErrorCodec.Encode(NoError);
        for (int at = 0; at < last.Length; at++)
        {
            await error.WriteAsync(last.AsMemory(at, 1), completeWrites: at == last.Length - 1);
            await world.Delay(TimeSpan.FromMilliseconds(10));
        }

        Assert.Null(await stream.ReadErrorAsync());
    });

    /// <summary>The number is the peer's; a reader shows it as it is, as far as it can.</summary>
    [Fact]
    public void Sequence_OfAnyValue_IsShown() => StreamEndTests.AtOpener(async (world, stream, main, error) =>
    {
        foreach (ulong sequence in new[] { 5ul, 5ul, 1ul, 0ul, ulong.MaxValue })
        {
            await error.WriteAsync(XStreamErrorCodec.Encode(new WireError { Kind = WireKind.XstreamNotification, Sequence = sequence }));
            Assert.Equal((long)Math.Min(sequence, long.MaxValue), (await stream.ReadErrorAsync())?.Sequence);
        }

        Assert.Equal(XStreamState.Open, stream.State);
    });

    /// <summary>Text is for people: what is no UTF-8 does not end a stream that works.</summary>
    [Fact]
    public void Text_ThatIsNoUtf8_DoesNotPassAsText() => StreamEndTests.AtOpener(async (world, stream, main, error) =>
    {
        await error.WriteAsync(Convert.FromHexString("0708011a0361ff62"));
        Assert.Equal("a\ufffdb", (await stream.ReadErrorAsync())?.Message);
    });

    [Fact]
    public void Notification_ThatIsTooLong_IsNotSentAndTheStreamLivesOn() => StreamEndTests.BetweenEnds(async (world, opener, acceptor) =>
    {
        var before = new string('x', (64 * 1024) - 64);
        foreach ((string message, byte[] details) in new (string, byte[])[]
            {
                (new string('x', (64 * 1024) + 1), []), ("", new byte[(64 * 1024) + 1]), (before, new byte[100]), (new string('\u20ac', 30_000), []),
            })
        {
            foreach (Func<Task> say in new Func<Task>[]
                { () => acceptor.NotifyErrorAsync(message, 1, details), () => acceptor.WriteErrorAsync(message, 1, details) })
            {
                Assert.Equal(KwikError.LimitExceeded, (await Assert.ThrowsAnyAsync<KwikException>(say)).Code);
            }
        }

        await acceptor.NotifyErrorAsync(before, ulong.MaxValue);
        XStreamError? heard = await opener.ReadErrorAsync();
        Assert.Equal((before, ulong.MaxValue, 1L), (heard!.Message, heard.Code, heard.Sequence));
        await acceptor.WriteAsync(Payload);
        acceptor.CompleteWrites();
        Assert.Equal(Payload, await opener.ReadToEndAsync());
        Assert.Equal(XStreamState.RemoteClosed, opener.State);
        Assert.Equal(XStreamState.LocalClosed, acceptor.State);
    });

    [Fact]
    public void Notification_ThatIsNoText_IsNotSentAndTheStreamLivesOn() => StreamEndTests.BetweenEnds(async (world, opener, acceptor) =>
    {
        await acceptor.NotifyErrorAsync("half a pair: \ud83e");
        await acceptor.NotifyErrorAsync("next");
        Assert.Equal("half a pair: \ufffd", (await opener.ReadErrorAsync())?.Message);
        Assert.Equal("next", (await opener.ReadErrorAsync())?.Message);
    });

    private static WireError Notification(int number, string rest = "") => new()
    {
        Kind = WireKind.XstreamNotification,
        Code = (ulong)number,
        Message = $"notification {number}{rest}",
        Sequence = (ulong)number,
    };

    private static async Task<int> ReadOnAsync(KwikStream stream)
    {
        var buffer = new byte[100];
        while (await stream.ReadAsync(buffer) is int read)
        {
            Assert.NotEqual(0, read);
        }

        return 0;
    }
}
