using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using WireError = Kwik.Data.Wire.XStreamError;
using WireKind = Kwik.Data.Wire.XStreamErrorKind;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Ends of public streams at moments that are easily missed.</summary>
public sealed class StreamEndTests
{
    private static readonly byte[] Payload = [1, 2, 3, 4, 5, 6, 7, 8];

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Abort_WithAPieceHalfRead_DeliversNoMoreOfIt(bool isLast) => BetweenEnds(async (world, opener, acceptor) =>
    {
        await opener.WriteAsync(Payload);
        if (isLast)
        {
            opener.CompleteWrites();
            await world.Delay(TimeSpan.FromSeconds(1));
        }

        Assert.Equal(1, await acceptor.ReadAsync(new byte[1]));
        acceptor.Abort(KwikError.NotFound);

        var e = await Assert.ThrowsAsync<XStreamException>(() => acceptor.ReadAsync(new byte[1]).AsTask());
        Assert.Equal((KwikError.NotFound, KwikErrorSide.Local), (e.Code, e.Side));
        Assert.Equal(0, await acceptor.ReadRestAfterErrorAsync(new byte[1]));
    });

    [Theory]
    [InlineData(1000, true)]
    [InlineData(350_000, false)]
    [InlineData(390_000, false)]
    [InlineData(600_000, false)]
    public void Close_WhileThePeerDoesNotRead_EndsAfterFiveSecondsAtTheLatest(int length, bool fits) => BetweenEnds(async (world, opener, acceptor) =>
    {
        Task writing = opener.WriteAsync(new byte[length]).AsTask();
        await world.Delay(TimeSpan.FromSeconds(1));
        TimeSpan began = world.Time.Elapsed;
        await opener.CloseAsync();

        TimeSpan took = world.Time.Elapsed - began;
        Assert.InRange(took, TimeSpan.FromSeconds(fits ? 0 : 5), TimeSpan.FromSeconds(fits ? 0.1 : 5.1));
        await Record.ExceptionAsync(() => writing);
        Exception? e = await Record.ExceptionAsync(() => acceptor.ReadToEndAsync());
        Assert.True(fits ? e is null : e is XStreamException { Code: KwikError.Cancelled }, $"{e}");
    });

    [Fact]
    public void Abort_ByAnOpenerThatHadCompletedItsWrites_FailsTheOtherEnd() => BetweenEnds(async (world, opener, acceptor) =>
    {
        await opener.WriteAsync(Payload);
        opener.CompleteWrites();
        await opener.WritesClosed;
        opener.Abort(KwikError.NotFound);
        await world.Delay(TimeSpan.FromSeconds(1));

        Assert.Equal(XStreamState.Error, acceptor.State);
        Assert.Equal(KwikError.NotFound, (await Assert.ThrowsAsync<XStreamException>(() => acceptor.Closed)).Code);
        Assert.Equal(KwikError.NotFound, (await Assert.ThrowsAsync<XStreamException>(() => acceptor.ReadAsync(new byte[1]).AsTask())).Code);
        var e = await Assert.ThrowsAsync<XStreamException>(() => acceptor.WriteAsync(Payload).AsTask());
        Assert.Equal(XStreamErrorKind.BrokenPipe, e.Kind);
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Fault_BehindAllOfMain_IsThrownInsteadOfTheEndAndLeavesAnEmptyRest(bool isTheApplications) => AtOpener(
        async (world, stream, main, error) =>
        {
            await main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload), (StreamFrame.Close(8), [])), completeWrites: true);
            Assert.Equal(8, await stream.ReadAsync(new byte[100]));
            Task<int> end = stream.ReadAsync(new byte[100]).AsTask();
            await world.Delay(TimeSpan.FromSeconds(1));
            Assert.False(end.IsCompleted);
            await error.WriteAsync(XStreamErrorCodec.Encode(new WireError
            {
                Kind = WireKind.XstreamFault,
                Message = "why",
                KwikError = isTheApplications ? 0 : (ulong)KwikError.NotFound,
            }));

            for (int i = 0; i < 2; i++)
            {
                XStreamException e = await Assert.ThrowsAnyAsync<XStreamException>(() => end);
                Assert.Equal(isTheApplications ? KwikError.StreamFault : KwikError.NotFound, e.Code);
                Assert.Equal((isTheApplications, stream.Id), (e is XStreamFaultException { Fault.Message: "why" }, e.StreamId));
                Assert.Equal(0, await stream.ReadRestAfterErrorAsync(new byte[100]));
                end = stream.ReadAsync(new byte[100]).AsTask();
            }

            await Assert.ThrowsAnyAsync<XStreamException>(() => end);
            Assert.Equal(XStreamState.Error, stream.State);
        });

    /// <summary>A stream between a client and a primary that reads little ahead.</summary>
    internal static void BetweenEnds(Func<SimulatedWorld, KwikStream, KwikStream, Task> play) => Simulation.Run(1, async world =>
    {
        var accepted = new TaskCompletionSource<KwikStream>();
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(
            null,
            async session =>
            {
                accepted.SetResult(await session.AcceptStream());
                await session.Closed;
            },
            options => options with { Aggregation = new() { MaxPendingBytes = 64 * 1024 } });
        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream opener = await session.OpenStreamSync();
        await play(world, opener, await accepted.Task);
        await opener.DisposeAsync();
        await (await accepted.Task).DisposeAsync();
        await session.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    /// <summary>A stream that a client opened to a peer that is at hand below it.</summary>
    internal static void AtOpener(Func<SimulatedWorld, KwikStream, ITransportStream, ITransportStream, Task> play) => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        await using KwikStream stream = await session.OpenStreamSync();
        var halves = new Dictionary<StreamType, ITransportStream>();
        while (halves.Count < 2)
        {
            ITransportStream half = await primary.Connection.AcceptStreamAsync(CancellationToken.None);
            Assert.True(StreamHeader.TryRead(await half.ReadExactlyAsync(StreamHeader.Size), out StreamHeader header));
            halves.Add(header.Type, half);
        }

        await play(world, stream, halves[StreamType.Main], halves[StreamType.Error]);
        Assert.False(session.Closed.IsCompleted);
        halves[StreamType.Main].AbortWrites(KwikError.Cancelled);
        halves[StreamType.Error].AbortWrites(KwikError.Cancelled);
        await stream.DisposeAsync();
        await session.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });
}
