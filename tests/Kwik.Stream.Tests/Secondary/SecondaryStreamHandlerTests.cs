using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>What correct servers do.</summary>
public sealed class SecondaryStreamHandlerTests
{
    [Theory]
    [SimulationSeeds]
    public void Answers_OfTwoServers_AreMergedAndEndCleanly(int seed) => SecondaryReceiver.Run(seed, async receiver =>
    {
        KwikStream stream = receiver.AddStream(4);
        byte[] bytes = Bytes.Random(seed, 300_000);
        StreamMapping[] asked = [receiver.Expect(1, 7, stream, 0, 200_000), receiver.Expect(2, 7, stream, 200_000, 100_000)];
        await Task.WhenAll(AnswerAsync(receiver, asked[1], bytes, frame: 50_000), AnswerAsync(receiver, asked[0], bytes, frame: 1000));

        byte[] read = new byte[bytes.Length];
        await stream.FillAsync(read);
        Assert.Equal(bytes, read);
        Assert.Equal((bytes.Length, bytes.Length), (receiver.Arrived, receiver.Placed));
        Assert.Equal(asked.Order(ByPath), receiver.Ended.Select(ending => ending.Source.Request!).Order(ByPath));
        Assert.All(receiver.Ended, ending => AssertClean(ending, KwikError.None));
        Assert.Empty(receiver.Broken);
        Assert.Equal(0, receiver.Mappings.Count);
    });

    [Theory]
    [SimulationSeeds]
    public void PushedBytes_InGrantedRanges_MayJumpAndCrossTouchingOnes(int seed) => SecondaryReceiver.Run(seed, async receiver =>
    {
        KwikStream stream = receiver.AddStream(4);
        byte[] bytes = Bytes.Random(seed, 400);
        receiver.Grant(1, 4, 0, 100);
        receiver.Grant(1, 4, 100, 100);
        receiver.Grant(1, 4, 300, 100);
        RawSecondary server = await receiver.PushAsync(1, stream, offset: 50);
        await server.SendDataAsync(bytes[50..150]);
        await server.SendDataAsync(bytes[150..200]);
        await server.SendDataAsync(bytes[300..400], 300);
        await server.SendDataAsync(bytes[0..50], 0);
        await server.CloseAsync(50);

        // The primary may write anywhere.
        RawSecondary primary = receiver.Open(0);
        await primary.SendAsync(StreamFrame.Open(4, 200));
        await primary.SendDataAsync(bytes[200..300]);
        await primary.CloseAsync(300);

        byte[] read = new byte[400];
        await stream.FillAsync(read);
        Assert.Equal(bytes, read);
        Assert.Equal(2, receiver.Ended.Count);
        Assert.All(receiver.Ended, ending => AssertClean(ending, KwikError.None));
        Assert.Empty(receiver.Broken);
    });

    [Theory]
    [InlineData(100, KwikError.None, KwikError.None)]
    [InlineData(100, KwikError.NotFound, KwikError.NotFound)]
    [InlineData(60, KwikError.Cancelled, KwikError.Cancelled)]
    [InlineData(0, KwikError.NotFound, KwikError.NotFound)]
    public void Close_AfterSoManyBytesOfAHundred_IsTheOutcomeThatItsServerNames(int length, KwikError error, KwikError outcome) =>
        SecondaryReceiver.Run(1, async receiver =>
        {
            KwikStream stream = receiver.AddStream(4);
            receiver.Expect(1, 7, stream, 0, 100);
            RawSecondary server = receiver.Open(1);
            await server.SendAsync(StreamFrame.Open(4, 0, 7));
            await server.SendDataAsync(new byte[length]);
            await server.CloseAsync(length, error);
            AssertClean(Assert.Single(receiver.Ended), outcome);
            Assert.Equal(length, receiver.Placed);
        });

    [Fact]
    public void Close_OfPushedBytes_IsNeverTooShort() => SecondaryReceiver.Run(1, async receiver =>
    {
        RawSecondary server = await receiver.PushAsync(1, receiver.AddStream(4));
        await server.CloseAsync(0);
        AssertClean(Assert.Single(receiver.Ended), KwikError.None);
    });

    [Fact]
    public void Answer_ToARequestThatWasCancelled_IsStoppedWithoutBlame() => SecondaryReceiver.Run(1, async receiver =>
    {
        KwikStream stream = receiver.AddStream(4);
        StreamMapping forgotten = receiver.Expect(1, 7, stream, 0, 100);
        Assert.True(receiver.Mappings.Forget(forgotten));
        RawSecondary server = receiver.Open(1);
        await server.SendAsync(StreamFrame.Open(4, 0, 7));
        Assert.Equal(KwikError.Cancelled, await server.RefusalAsync());

        // Asked of another path.
        receiver.Expect(2, 8, stream, 0, 100);
        server = receiver.Open(1);
        await server.SendAsync(StreamFrame.Open(4, 0, 8));
        Assert.Equal(KwikError.Cancelled, await server.RefusalAsync());

        // Cancelled while the answer is on its way.
        StreamMapping cancelled = receiver.Expect(1, 9, stream, 0, 100);
        cancelled.Cancel();
        server = receiver.Open(1);
        await server.SendAsync(StreamFrame.Open(4, 0, 9));
        Assert.Equal(KwikError.Cancelled, await server.RefusalAsync());
        Assert.Equal((KwikError.Cancelled, null), (Assert.Single(receiver.Ended).Fault!.Code, receiver.Ended[0].Action));
        Assert.Empty(receiver.Broken);
        Assert.Empty(receiver.Decided);
    });

    [Fact]
    public void PushedBytes_ForAStreamThatIsClosed_AreStoppedWithoutBlame() => SecondaryReceiver.Run(1, async receiver =>
    {
        await receiver.AddStream(4).DisposeAsync();
        RawSecondary server = receiver.Open(1);
        await server.SendAsync(StreamFrame.Open(4, 0));
        Assert.Equal(KwikError.Cancelled, await server.RefusalAsync());
        Assert.Empty(receiver.Broken);
        Assert.Empty(receiver.Ended);
    });

    [Theory]
    [SimulationSeeds]
    public void CloseTarget_StreamsOfEveryKind_AreStoppedWithoutBlame(int seed) => SecondaryReceiver.Run(
        seed,
        async receiver =>
        {
            KwikStream stream = receiver.AddStream(4);
            RawSecondary reading = await receiver.PushAsync(1, stream);
            await reading.SendDataAsync(new byte[1000]);
            RawSecondary parked = await receiver.PushAsync(2, stream, 100_000);
            await parked.SendDataAsync(new byte[1000]);
            RawSecondary waiting = receiver.Open(3);
            await waiting.SendAsync(StreamFrame.Open(4, 0));
            await receiver.SettleAsync();
            Assert.False(reading.Handling.IsCompleted || parked.Handling.IsCompleted || waiting.Handling.IsCompleted);

            await stream.DisposeAsync();
            foreach (RawSecondary server in new[] { reading, parked, waiting })
            {
                Assert.Equal(KwikError.Cancelled, await server.RefusalAsync());
            }

            Assert.Equal([1, 2], receiver.Ended.Select(ending => ending.Source.Id.PathId).Order());
            Assert.All(receiver.Ended, ending => Assert.Equal((KwikError.Cancelled, null), (ending.Source.StopCode, ending.Action)));
            Assert.Empty(receiver.Broken);
            Assert.Empty(receiver.Decided);
            Assert.False(receiver.Mappings.IsGranted(1, 4, 0, 1));
        },
        aggregation: new AggregatorOptions { MaxPendingBytes = 64 * 1024 });

    [Theory]
    [SimulationSeeds]
    public void CloseStream_OneOfTwo_EndsItAlone(int seed) => SecondaryReceiver.Run(seed, async receiver =>
    {
        KwikStream stream = receiver.AddStream(4);
        RawSecondary first = await receiver.PushAsync(1, stream);
        RawSecondary second = await receiver.PushAsync(1, stream, 5);
        await receiver.SettleAsync();
        Assert.False(receiver.Handler.CloseStream(new(2, first.Id.StreamId), KwikError.PathLost));
        Assert.True(receiver.Handler.CloseStream(first.Id, KwikError.PathLost));
        Assert.Equal(KwikError.PathLost, await first.RefusalAsync());
        Assert.False(receiver.Handler.CloseStream(first.Id, KwikError.PathLost));
        Assert.Equal((first.Id, KwikError.PathLost), (Assert.Single(receiver.Ended).Source.Id, receiver.Ended[0].Fault!.Code));

        await second.SendDataAsync(new byte[5]);
        await second.CloseAsync(10);
        AssertClean(receiver.Ended[1], KwikError.None);
        Assert.Empty(receiver.Broken);
    });

    [Fact]
    public void GetStats_OfOnePath_CountsWhatIsOpenAndWhatWasPlaced() => SecondaryReceiver.Run(1, async receiver =>
    {
        KwikStream stream = receiver.AddStream(4);
        receiver.Treatment = RecoveryAction.IgnoreCorrupted;
        Assert.Equal(new SecondaryStreamStats(0, 0, 0, 0, 1), receiver.Handler.GetStats(1));

        RawSecondary mapped = await receiver.PushAsync(1, stream);
        await mapped.SendDataAsync(new byte[300]);
        await mapped.SendAsync(StreamFrame.Data(100, checksum: 1), new byte[100]);
        RawSecondary unknown = receiver.Open(1);
        await unknown.SendAsync(StreamFrame.Open(8, 0));
        await receiver.SettleAsync();
        Assert.Equal(new SecondaryStreamStats(2, 1, 1, 400, 0.75), receiver.Handler.GetStats(1));
        Assert.Equal(new SecondaryStreamStats(0, 0, 0, 0, 1), receiver.Handler.GetStats(2));
        StreamMappingInfo info = Assert.Single(receiver.Mappings.Mapped()).Snapshot();
        Assert.Equal((mapped.Id, 4, SecondaryStreamState.Active), (info.Id, info.KwikStreamId, info.State));
        Assert.Equal((300, 400), (info.BytesTransferred, info.CurrentOffset));

        // What has ended is still counted.
        unknown.Reset(KwikError.Cancelled);
        await mapped.CloseAsync(400);
        RawSecondary next = await receiver.PushAsync(1, stream, 300);
        await next.SendDataAsync(new byte[400]);
        await receiver.SettleAsync();
        Assert.Equal(800, receiver.Handler.GetStats(1).TotalDataBytes);
        Assert.Equal(700.0 / 800, receiver.Handler.GetStats(1).AggregationRatio);
    });

    private static Comparer<StreamMapping> ByPath => Comparer<StreamMapping>.Create((a, b) => a.PathId.CompareTo(b.PathId));

    private static void AssertClean(SecondaryReceiver.Ending ending, KwikError outcome)
    {
        Assert.Equal((null, null, outcome), (ending.Fault, ending.Action, ending.Source.Outcome));
        Assert.Equal(SecondaryStreamState.Closed, ending.Source.State);
    }

    private static async Task AnswerAsync(SecondaryReceiver receiver, StreamMapping asked, byte[] content, int frame)
    {
        RawSecondary server = receiver.Open(asked.PathId);
        await server.SendAsync(StreamFrame.Open(asked.Stream.Id, asked.Offset, asked.RequestId));
        for (int offset = (int)asked.Offset; offset < asked.End; offset += frame)
        {
            // Naming the offset where it continues anyway is allowed.
            await server.SendDataAsync(content[offset..(offset + frame)], offset % (2 * frame) == 0 ? offset : -1);
            await receiver.SettleAsync();
        }

        await server.CloseAsync(asked.End);
    }
}
