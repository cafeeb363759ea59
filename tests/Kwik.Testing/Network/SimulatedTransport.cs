using System.Net;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Testing;

/// <summary>The network as one process sees it.</summary>
internal sealed class SimulatedTransport(SimulatedWorld world, SimulatedProcess process) : ITransport
{
    /// <inheritdoc/>
    public ValueTask<ITransportConnection> ConnectAsync(TransportConnectOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        world.Loop.AssertOnLoop();
        ThrowIfDead();
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<ITransportConnection>(cancellationToken);
        }

        return new SimulatedHandshake(world, process, options).RunAsync(cancellationToken);
    }

    /// <inheritdoc/>
    public ValueTask<ITransportListener> ListenAsync(TransportListenOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        world.Loop.AssertOnLoop();
        cancellationToken.ThrowIfCancellationRequested();
        ThrowIfDead();
        IPAddress address = options.LocalEndPoint.Address;
        if (!address.Equals(process.Host.Address) && !address.Equals(IPAddress.Any) && !address.Equals(IPAddress.IPv6Any))
        {
            throw new KwikException(
                KwikError.Internal, KwikErrorSide.Local, $"'{process.Host}' cannot listen on {options.LocalEndPoint}: not its address.");
        }

        int port = options.LocalEndPoint.Port == 0 ? process.Host.NextPort() : options.LocalEndPoint.Port;
        if (process.Listeners.ContainsKey(port))
        {
            throw new KwikException(
                KwikError.Internal, KwikErrorSide.Local, $"'{process.Host}' cannot listen on {options.LocalEndPoint}: it is in use.");
        }

        var listener = new SimulatedListener(world, process, options, new IPEndPoint(process.Host.Address, port));
        process.Listeners.Add(port, listener);
        return new ValueTask<ITransportListener>(listener);
    }

    private void ThrowIfDead()
    {
        if (!process.IsAlive)
        {
            throw new KwikException(KwikError.Internal, KwikErrorSide.Local, $"The process on '{process.Host}' was killed.");
        }
    }
}

/// <summary>A listening port of one process.</summary>
internal sealed class SimulatedListener(
    SimulatedWorld world, SimulatedProcess process, TransportListenOptions options, IPEndPoint localEndPoint) : ITransportListener
{
    private readonly WaitQueue<SimulatedConnection> _accepted = new(world.Loop);

    /// <inheritdoc/>
    public IPEndPoint LocalEndPoint { get; } = localEndPoint;

    public TransportListenOptions Options { get; } = options;

    public SimulatedProcess Process { get; } = process;

    public bool IsListening { get; private set; } = true;

    /// <inheritdoc/>
    public async ValueTask<ITransportConnection> AcceptConnectionAsync(CancellationToken cancellationToken) =>
        await _accepted.TakeAsync(cancellationToken);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (SimulatedConnection connection in Stop())
        {
            await connection.CloseAsync(KwikError.None);
        }
    }

    public void Add(SimulatedConnection connection) => _accepted.Add(connection);

    /// <summary>Frees the port and fails who waits; returns the connections that nobody accepted.</summary>
    public IReadOnlyList<SimulatedConnection> Stop()
    {
        world.Loop.AssertOnLoop();
        IsListening = false;
        Process.Listeners.Remove(LocalEndPoint.Port);
        return _accepted.Close(() => new ObjectDisposedException(nameof(ITransportListener)));
    }
}
