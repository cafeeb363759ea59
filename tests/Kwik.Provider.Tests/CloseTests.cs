using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>CloseAsync: what every call on both sides gets to see.</summary>
public sealed class CloseTests
{
    private const long Code = 4_321;

    [Fact]
    public async Task Close_CallsPendingAtThePeer_AllSeeTheCode()
    {
        await using Loopback pair = await StartWithoutOneWayStreamsAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            PendingCalls calls = PendingCalls.Start(pair.Server, peer);

            await pair.Client.CloseAsync(Code).Bounded();

            await calls.AllAsync(call => Expect.ConnectionAborted(Code, call));
        }
    }

    [Fact]
    public async Task Close_CallsPendingHere_AllThrowOperationAborted()
    {
        await using Loopback pair = await StartWithoutOneWayStreamsAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            PendingCalls calls = PendingCalls.Start(pair.Client, local);

            await pair.Client.CloseAsync(Code).Bounded();

            await calls.AllAsync(Expect.OperationAborted);
        }
    }

    [Fact]
    public async Task Close_LaterCallsAtThePeer_AllSeeTheCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            await pair.Client.CloseAsync(Code).Bounded();
            await Expect.ConnectionAborted(Code, peer.ReadToEndAsync());

            await PendingCalls.Start(pair.Server, peer).AllAsync(call => Expect.ConnectionAborted(Code, call));
            await PendingCalls.Start(pair.Server, peer).AllAsync(call => Expect.ConnectionAborted(Code, call));
        }
    }

    [Fact]
    public async Task Close_LaterCallsHere_AllThrowOperationAborted()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            await pair.Client.CloseAsync(Code).Bounded();

            await PendingCalls.Start(pair.Client, local).AllAsync(Expect.OperationAborted);
        }
    }

    [Fact]
    public async Task Close_ByTheServer_ClientSeesTheCode()
    {
        await using Loopback pair = await StartWithoutOneWayStreamsAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            PendingCalls calls = PendingCalls.Start(pair.Client, local);

            await pair.Server.CloseAsync(Code).Bounded();

            await calls.AllAsync(call => Expect.ConnectionAborted(Code, call));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(64)]
    [InlineData(1 << 30)]
    [InlineData(Loopback.LargestCode)]
    public async Task Close_CodeOfEveryLength_ArrivesWhole(long code)
    {
        await using Loopback pair = await Loopback.StartAsync();
        Task accept = pair.Server.AcceptInboundStreamAsync().AsTask();

        await pair.Client.CloseAsync(code).Bounded();

        await Expect.ConnectionAborted(code, accept);
    }

    [Fact]
    public async Task Close_FromBothSidesAtOnce_EndsOnBoth()
    {
        for (int i = 0; i < 20; i++)
        {
            await using Loopback pair = await Loopback.StartAsync();

            await Task.WhenAll(
                Task.Run(() => pair.Client.CloseAsync(Code).AsTask()),
                Task.Run(() => pair.Server.CloseAsync(Code + 1).AsTask())).Bounded();

            QuicException e = await Assert.ThrowsAsync<QuicException>(() => pair.Client.AcceptInboundStreamAsync().Bounded());
            Assert.True(
                e.QuicError == QuicError.OperationAborted
                    || (e.QuicError == QuicError.ConnectionAborted && e.ApplicationErrorCode == Code + 1),
                Expect.Describe(e));
        }
    }

    [Fact]
    public async Task Close_SecondTime_KeepsTheFirstCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        Task accept = pair.Server.AcceptInboundStreamAsync().AsTask();

        await Task.WhenAll(pair.Client.CloseAsync(Code).AsTask(), pair.Client.CloseAsync(Code + 1).AsTask()).Bounded();
        await pair.Client.CloseAsync(Code + 2).Bounded();

        await Expect.ConnectionAborted(Code, accept);
    }

    [Fact]
    public async Task Close_ManyStreamsInUse_EndsEveryCallOnBothSides()
    {
        const int Streams = 50;
        await using Loopback pair = await Loopback.StartAsync();
        var calls = new List<Task>();
        var streams = new List<QuicStream>();
        for (int i = 0; i < Streams; i++)
        {
            (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
            streams.AddRange([local, peer]);
            calls.Add(local.WriteForeverAsync());
            calls.Add(peer.ReadToEndAsync());
            calls.Add(peer.WriteForeverAsync());
        }

        await pair.Client.CloseAsync(Code).Bounded();

        foreach (Task call in calls)
        {
            QuicException e = await Assert.ThrowsAsync<QuicException>(call.Bounded);
            Assert.True(e.QuicError is QuicError.OperationAborted or QuicError.ConnectionAborted, Expect.Describe(e));
        }

        foreach (QuicStream stream in streams)
        {
            await stream.DisposeAsync().Bounded();
        }
    }

    [Fact]
    public async Task Close_AfterBothDirectionsEnded_LosesNothing()
    {
        // The documented way to end: all is read, both directions are complete, and then the connection is closed.
        for (int i = 0; i < 20; i++)
        {
            await using Loopback pair = await Loopback.StartAsync();
            (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
            Task server = ServeAsync(peer);

            await local.WriteContentAsync(seed: i, length: 100_000);
            await local.AssertContentAsync(seed: i, length: 100_000);
            await local.WritesClosed.Bounded();
            await pair.Client.CloseAsync(0).Bounded();

            await server.Bounded();
            await local.DisposeAsync().Bounded();
            await peer.DisposeAsync().Bounded();
        }

        static async Task ServeAsync(QuicStream stream)
        {
            await stream.EchoAsync();
            try
            {
                await stream.WritesClosed;
            }
            catch (QuicException e) when (e.QuicError == QuicError.ConnectionAborted)
            {
                // The close may overtake the acknowledgement of the end.
            }
        }
    }

    // One-way streams are not allowed in either direction, so that opening one is a call that waits.
    private static Task<Loopback> StartWithoutOneWayStreamsAsync() => Loopback.StartAsync(
        server: o => o.MaxInboundUnidirectionalStreams = 0,
        client: o => o.MaxInboundUnidirectionalStreams = 0);

    /// <summary>One call of every kind that can wait for the peer.</summary>
    private sealed class PendingCalls
    {
        private readonly Task[] _calls;

        private PendingCalls(Task[] calls) => _calls = calls;

        public static PendingCalls Start(QuicConnection connection, QuicStream stream) => new(
        [
            stream.ReadAsync(new byte[1]).AsTask(),
            stream.WriteForeverAsync(),
            connection.AcceptInboundStreamAsync().AsTask(),
            connection.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).AsTask(),
            stream.ReadsClosed,
            stream.WritesClosed,
        ]);

        public async Task AllAsync(Func<Task, Task> expect)
        {
            foreach (Task call in _calls)
            {
                await expect(call);
            }
        }
    }
}
