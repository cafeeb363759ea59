using System.Net;
using Kwik.Data;
using Kwik.Streams;
using Xunit;

namespace Kwik.Testing;

/// <summary>Two hosts on some transport, for one conformance test.</summary>
internal sealed record ConformanceNetwork
{
    /// <summary>Where connections are made.</summary>
    public required ITransport Client { get; init; }

    /// <summary>Where they are accepted; may be the same.</summary>
    public required ITransport Server { get; init; }

    /// <summary>An address that <see cref="Server"/> can listen on.</summary>
    public required IPAddress ServerAddress { get; init; }

    /// <summary>The clock that the transport runs on.</summary>
    public required TimeProvider Time { get; init; }

    /// <summary>An address of which nothing ever comes back; null where the network has none.</summary>
    public IPEndPoint? Silence { get; init; }

    /// <summary>Cuts the network, so that no packet passes any more; null where that is not possible.</summary>
    public Action? Cut { get; init; }

    /// <summary>Options of a server with a self-signed certificate that lets 100 streams of each kind in.</summary>
    public TransportListenOptions ListenOptions => new()
    {
        LocalEndPoint = new IPEndPoint(ServerAddress, 0),
        ServerCertificate = TestCertificates.SelfSigned("server.test"),
        InboundBidirectionalStreams = 100,
        InboundUnidirectionalStreams = 100,
    };

    /// <summary>Options of a client that knows that server by its key and lets 100 streams of each kind in.</summary>
    public static TransportConnectOptions ConnectOptions(IPEndPoint server) => new()
    {
        RemoteEndPoint = server,
        ServerName = "server.test",
        Pins = [KeyHash.OfCertificate(TestCertificates.SelfSigned("server.test"))],
        ClientCertificate = TestCertificates.SelfSigned("client.test"),
        InboundBidirectionalStreams = 100,
        InboundUnidirectionalStreams = 100,
    };

    /// <summary>Listens, connects and accepts.</summary>
    public async Task<ConnectedPair> ConnectAsync(
        Func<TransportConnectOptions, TransportConnectOptions>? connect = null,
        Func<TransportListenOptions, TransportListenOptions>? listen = null)
    {
        ITransportListener listener = await Server.ListenAsync(
            listen is null ? ListenOptions : listen(ListenOptions), CancellationToken.None);
        TransportConnectOptions options = ConnectOptions(listener.LocalEndPoint);
        Task<ITransportConnection> accepting = AcceptAsync(listener);
        ITransportConnection client = await Client.ConnectAsync(
            connect is null ? options : connect(options), CancellationToken.None);
        return new ConnectedPair(listener, client, await accepting);

        static async Task<ITransportConnection> AcceptAsync(ITransportListener listener) =>
            await listener.AcceptConnectionAsync(CancellationToken.None);
    }

    /// <summary>Lets everything come to rest that can: 100 ms, of the transport's own time.</summary>
    public Task SettleAsync() => Task.Delay(TimeSpan.FromMilliseconds(100), Time);

    /// <summary>Awaits something that has to fail with a <see cref="KwikException"/>, and returns that.</summary>
    public static async Task<KwikException> FailureAsync(Task task)
    {
        // By hand: whatever Assert.ThrowsAsync awaits has to stay on the simulation's thread.
        try
        {
            await task;
        }
        catch (KwikException exception)
        {
            return exception;
        }

        Assert.Fail("The call succeeded where a KwikException was expected.");
        throw new InvalidOperationException();
    }

    /// <summary>The same, with the code and side that it has to have.</summary>
    public static async Task ExpectAsync(KwikError code, KwikErrorSide side, Task task)
    {
        KwikException failure = await FailureAsync(task);
        Assert.Equal((code, side), (failure.Code, failure.Side));
    }

    /// <inheritdoc cref="ExpectAsync(KwikError, KwikErrorSide, Task)"/>
    public static Task ExpectAsync(KwikError code, KwikErrorSide side, ValueTask task) => ExpectAsync(code, side, task.AsTask());

    /// <inheritdoc cref="ExpectAsync(KwikError, KwikErrorSide, Task)"/>
    public static Task ExpectAsync<T>(KwikError code, KwikErrorSide side, ValueTask<T> task) =>
        ExpectAsync(code, side, task.AsTask());

    /// <summary>Awaits something that has to be cancelled.</summary>
    public static async Task ExpectCancelledAsync(Task task, CancellationToken cancellationToken)
    {
        try
        {
            await task;
        }
        catch (OperationCanceledException exception)
        {
            Assert.Equal(cancellationToken, exception.CancellationToken);
            return;
        }

        Assert.Fail("The call succeeded where it should have been cancelled.");
    }
}

/// <summary>A listener and the two ends of a connection.</summary>
internal sealed record ConnectedPair(ITransportListener Listener, ITransportConnection Client, ITransportConnection Server)
    : IAsyncDisposable
{
    /// <summary>Opens a stream, writes one byte so that the server learns of it, and reads that byte there.</summary>
    public Task<(ITransportStream Client, ITransportStream Server)> OpenAsync(bool bidirectional = true) =>
        OpenAsync(Client, Server, bidirectional);

    /// <summary>The same, in either direction.</summary>
    public static async Task<(ITransportStream Opener, ITransportStream Acceptor)> OpenAsync(
        ITransportConnection opener, ITransportConnection acceptor, bool bidirectional)
    {
        ITransportStream opened = await opener.OpenStreamAsync(bidirectional, CancellationToken.None);
        await opened.WriteAsync(new byte[1]);
        ITransportStream accepted = await acceptor.AcceptStreamAsync(CancellationToken.None);
        Assert.Equal(opened.Id, accepted.Id);
        Assert.Equal(1, await accepted.ReadAsync(new byte[1]));
        return (opened, accepted);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Client.DisposeAsync();
        await Server.DisposeAsync();
        await Listener.DisposeAsync();
    }
}
