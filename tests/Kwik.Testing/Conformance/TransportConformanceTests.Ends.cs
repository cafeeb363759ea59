using Kwik.Data;
using Kwik.Streams;
using Xunit;
using static Kwik.Testing.ConformanceNetwork;

namespace Kwik.Testing;

/// <summary>Aborting streams, disposing them, closing connections, and losing them.</summary>
public abstract partial class TransportConformanceTests
{
    [Fact]
    public Task AbortWrites_FailsBothSidesWithTheCodeAndOneDirectionOnly() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        Task<int> reading = server.ReadAsync(new byte[10]).AsTask();
        client.AbortWrites(KwikError.ContentMismatch);
        client.AbortWrites(KwikError.NotFound);
        await ExpectAsync(KwikError.ContentMismatch, KwikErrorSide.Remote, reading);
        await ExpectAsync(KwikError.ContentMismatch, KwikErrorSide.Remote, server.ReadAsync(new byte[10]));
        await ExpectAsync(KwikError.ContentMismatch, KwikErrorSide.Local, client.WriteAsync(new byte[10]));
        await ExpectAsync(KwikError.ContentMismatch, KwikErrorSide.Local, client.WritesClosed);
        await server.WriteAsync(Bytes(10), completeWrites: true);
        Assert.Equal(Bytes(10), await client.ReadToEndAsync());
    });

    [Fact]
    public Task AbortWrites_UnderAPendingWrite_FailsIt() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        (Task writing, _) = await WriteUntilPendingAsync(network, client, Bytes(2_000_000));
        client.AbortWrites(KwikError.Timeout);
        await ExpectAsync(KwikError.Timeout, KwikErrorSide.Local, writing);

        // What had arrived may still be read, or not; then comes the code.
        await ExpectAsync(KwikError.Timeout, KwikErrorSide.Remote, server.ReadToEndAsync());
    });

    [Fact]
    public Task AbortReads_FailsBothSidesWithTheCodeAndOneDirectionOnly() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        Task<int> reading = server.ReadAsync(new byte[10]).AsTask();
        Task writing = WriteUntilItFailsAsync(client);
        server.AbortReads(KwikError.SecondaryStreamIsolation);
        server.AbortReads(KwikError.NotFound);
        await DrainAsync(reading, KwikError.SecondaryStreamIsolation);
        await ExpectAsync(KwikError.SecondaryStreamIsolation, KwikErrorSide.Local, server.ReadAsync(new byte[10]));
        await ExpectAsync(KwikError.SecondaryStreamIsolation, KwikErrorSide.Remote, writing);
        await ExpectAsync(KwikError.SecondaryStreamIsolation, KwikErrorSide.Remote, client.WriteAsync(new byte[10]));
        await ExpectAsync(KwikError.SecondaryStreamIsolation, KwikErrorSide.Remote, client.WritesClosed);
        await server.WriteAsync(Bytes(10), completeWrites: true);
        Assert.Equal(Bytes(10), await client.ReadToEndAsync());

        // The read may have been served by the first write.
        static async Task DrainAsync(Task<int> reading, KwikError code)
        {
            try
            {
                await reading;
            }
            catch (KwikException exception)
            {
                Assert.Equal((code, KwikErrorSide.Local), (exception.Code, exception.Side));
            }
        }
    });

    [Fact]
    public Task AbortReads_UnderAPendingRead_FailsIt() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, _) = await pair.OpenAsync();
        Task<int> reading = client.ReadAsync(new byte[10]).AsTask();
        client.AbortReads(KwikError.Cancelled);
        await ExpectAsync(KwikError.Cancelled, KwikErrorSide.Local, reading);
    });

    [Fact]
    public Task AbortReads_GivesTheConnectionsCreditBack() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync(
            listen: options => options with { ConnectionWindow = 256 * 1024, StreamWindow = 128 * 1024 });
        for (int index = 0; index < 10; index++)
        {
            (ITransportStream client, ITransportStream server) = await pair.OpenAsync(bidirectional: false);
            Task writing = WriteUntilItFailsAsync(client);
            await network.SettleAsync();
            server.AbortReads(KwikError.Cancelled);
            await ExpectAsync(KwikError.Cancelled, KwikErrorSide.Remote, writing);
        }
    });

    [Fact]
    public Task Abort_AfterTheEnd_DoesNothing() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        client.CompleteWrites();
        Assert.Equal(0, await server.ReadAsync(new byte[1]));
        await client.WritesClosed;
        client.AbortWrites(KwikError.Internal);
        server.AbortReads(KwikError.Internal);
        Assert.Equal(0, await server.ReadAsync(new byte[1]));
        Assert.True(client.WritesClosed.IsCompletedSuccessfully);
        await server.WriteAsync(Bytes(10), completeWrites: true);
        Assert.Equal(Bytes(10), await client.ReadToEndAsync());
    });

    [Fact]
    public Task Abort_WithACodeThatNobodyKnows_ReadsAsInternal() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        client.AbortWrites((KwikError)0x7777);
        client.AbortReads((KwikError)0x7777);
        await ExpectAsync(KwikError.Internal, KwikErrorSide.Remote, server.ReadAsync(new byte[1]));
        await ExpectAsync(KwikError.Internal, KwikErrorSide.Remote, server.WritesClosed);
    });

    [Fact]
    public Task StreamDispose_EndsWritingAndAbortsReading() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        await client.WriteAsync(Bytes(1000));
        Task disposing = client.DisposeAsync().AsTask();
        Assert.Equal(Bytes(1000), await server.ReadToEndAsync());
        await ExpectAsync(KwikError.Cancelled, KwikErrorSide.Remote, server.WritesClosed);
        await disposing;
        await client.DisposeAsync();
        await server.DisposeAsync();
        await server.DisposeAsync();
    });

    [Fact]
    public Task Close_FailsWhateverPendsOnBothSidesWithTheCode() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync(
            options => options with { InboundBidirectionalStreams = 0 }, options => options with { InboundBidirectionalStreams = 1 });
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        Task[] local = Pending(pair.Client, client);
        Task[] remote = Pending(pair.Server, server);
        await network.SettleAsync();
        await pair.Client.CloseAsync(KwikError.LimitExceeded);
        await pair.Client.CloseAsync(KwikError.NotFound);
        foreach (Task call in local)
        {
            await ExpectAsync(KwikError.LimitExceeded, KwikErrorSide.Local, call);
        }

        foreach (Task call in remote)
        {
            await ExpectAsync(KwikError.LimitExceeded, KwikErrorSide.Remote, call);
        }

        await ExpectAsync(KwikError.LimitExceeded, KwikErrorSide.Local, pair.Client.OpenStreamAsync(true, CancellationToken.None));
        await ExpectAsync(KwikError.LimitExceeded, KwikErrorSide.Remote, pair.Server.OpenStreamAsync(true, CancellationToken.None));
        await ExpectAsync(KwikError.LimitExceeded, KwikErrorSide.Remote, pair.Server.AcceptStreamAsync(CancellationToken.None));
        await ExpectAsync(KwikError.LimitExceeded, KwikErrorSide.Remote, server.ReadAsync(new byte[1]));
        await ExpectAsync(KwikError.LimitExceeded, KwikErrorSide.Remote, server.WriteAsync(new byte[1]));
        await ExpectAsync(KwikError.LimitExceeded, KwikErrorSide.Local, client.ReadAsync(new byte[1]));

        // A peer that closes afterwards keeps the first reason.
        await pair.Server.CloseAsync(KwikError.NotFound);
        await ExpectAsync(KwikError.LimitExceeded, KwikErrorSide.Remote, pair.Server.AcceptStreamAsync(CancellationToken.None));

        static Task[] Pending(ITransportConnection connection, ITransportStream stream) =>
        [
            connection.OpenStreamAsync(bidirectional: true, CancellationToken.None).AsTask(),
            connection.AcceptStreamAsync(CancellationToken.None).AsTask(),
            stream.ReadAsync(new byte[1]).AsTask(),
            stream.WritesClosed,
        ];
    });

    [Fact]
    public Task Close_UnderAPendingWrite_FailsItOnBothSides() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        (Task fromClient, _) = await WriteUntilPendingAsync(network, client, Bytes(2_000_000));
        (Task fromServer, _) = await WriteUntilPendingAsync(network, server, Bytes(2_000_000));
        await pair.Server.CloseAsync(KwikError.PrimaryLost);
        await ExpectAsync(KwikError.PrimaryLost, KwikErrorSide.Remote, fromClient);
        await ExpectAsync(KwikError.PrimaryLost, KwikErrorSide.Local, fromServer);
        await ExpectAsync(KwikError.PrimaryLost, KwikErrorSide.Remote, client.WritesClosed);
    });

    [Fact]
    public Task ConnectionDispose_IsACleanCloseAndMayBeRepeated() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        Task<ITransportStream> accepting = pair.Server.AcceptStreamAsync(CancellationToken.None).AsTask();
        await pair.Client.DisposeAsync();
        await pair.Client.DisposeAsync();
        await ExpectAsync(KwikError.None, KwikErrorSide.Remote, accepting);
    });

    [Fact]
    public Task Connection_WithoutAPacketForTheIdleTimeout_IsLost() => RunAsync(async network =>
    {
        Assert.SkipWhen(network.Cut is null, "This network cannot be cut.");
        await using ConnectedPair pair = await network.ConnectAsync(options => options with { IdleTimeout = TimeSpan.FromSeconds(1) });
        long start = network.Time.GetTimestamp();
        network.Cut!();
        foreach (ITransportConnection connection in new[] { pair.Server, pair.Client })
        {
            KwikException failure = await FailureAsync(connection.AcceptStreamAsync(CancellationToken.None).AsTask());
            Assert.Equal(KwikErrorSide.Network, failure.Side);
            Assert.Contains(failure.Code, new[] { KwikError.Timeout, KwikError.PathLost });
        }

        Assert.InRange(network.Time.GetElapsedTime(start).TotalSeconds, 0.6, 10);
    });

    [Fact]
    public Task Connection_ThatIsQuiet_OutlivesItsIdleTimeout() => RunAsync(async network =>
    {
        // Three pings in this time: a machine that is busy for one or two of them does not end the connection.
        var idle = TimeSpan.FromSeconds(3);
        await using ConnectedPair pair = await network.ConnectAsync(options => options with { IdleTimeout = idle });
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        await Task.Delay(3 * idle, network.Time);
        await client.WriteAsync(Bytes(10));
        Assert.Equal(Bytes(10), await server.ReadExactlyAsync(10));
    });

    private static async Task WriteUntilItFailsAsync(ITransportStream stream)
    {
        while (true)
        {
            await stream.WriteAsync(Bytes(10_000));
        }
    }
}
