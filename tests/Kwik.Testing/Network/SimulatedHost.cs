using System.Net;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Testing;

/// <summary>A machine with one address on which one process at a time uses the network.</summary>
public sealed class SimulatedHost
{
    private readonly SimulatedWorld _world;
    private int _lastPort = 49151;

    internal SimulatedHost(SimulatedWorld world, string name, IPAddress address)
    {
        _world = world;
        Name = name;
        Address = address;
        Process = new SimulatedProcess(this);
        Transport = new SimulatedTransport(world, Process);
        Time = new VirtualTimeProvider(world.Loop, Process);
    }

    /// <summary>What the scenario calls it.</summary>
    public string Name { get; }

    /// <summary>Its address.</summary>
    public IPAddress Address { get; }

    /// <summary>The clock of the running process: its timers wait while it is frozen and never fire once it is dead.</summary>
    public VirtualTimeProvider Time { get; private set; }

    /// <summary>False between <see cref="Kill"/> and <see cref="Restart"/>.</summary>
    public bool IsAlive => Process.IsAlive;

    /// <summary>True between <see cref="Freeze"/> and <see cref="Thaw"/>.</summary>
    public bool IsFrozen => Process.IsFrozen;

    /// <summary>
    /// True: its transport ends no half that the peer has asked it to stop sending, as only a hostile one does. The peer is
    /// done with such a stream when the connection ends.
    /// </summary>
    public bool IgnoresStopSending { get; set; }

    /// <summary>Streams of the running process that are not closed on both sides.</summary>
    public int OpenStreams => Process.Connections.Sum(connection => connection.OpenStreams);

    /// <summary>
    /// Streams that the running process has opened or accepted, and not disposed of, also of connections that have ended: with
    /// System.Net.Quic each keeps its connection in memory until it is finalized.
    /// </summary>
    public int UndisposedStreams => Process.UndisposedStreams;

    /// <summary>Connections of the running process.</summary>
    public int OpenConnections => Process.Connections.Count;

    /// <summary>The network as the running process sees it.</summary>
    internal ITransport Transport { get; private set; }

    internal SimulatedProcess Process { get; private set; }

    /// <summary>
    /// Ends the process without a word, as <c>kill -9</c> does. Peers meet silence and, when they connect anew, a refusal.
    /// What is still called on this side fails with <see cref="KwikError.Internal"/>, so that the code of the dead
    /// process comes to an end in the scenario too.
    /// </summary>
    public void Kill()
    {
        _world.Loop.AssertOnLoop();
        _world.Trace.Record("kill", Name, 0, 0);
        Process.Kill();
    }

    /// <summary>Starts a new process on this machine; nothing of the old one is left, not even its ports.</summary>
    public void Restart()
    {
        if (IsAlive)
        {
            Kill();
        }

        _world.Trace.Record("restart", Name, 0, 0);
        Process = new SimulatedProcess(this);
        Transport = new SimulatedTransport(_world, Process);
        Time = new VirtualTimeProvider(_world.Loop, Process);
    }

    /// <summary>
    /// Stops the process, as SIGSTOP does: it sends nothing, processes nothing that arrives, and timers of
    /// <see cref="Time"/> wait. The scenario's own code is not stopped.
    /// </summary>
    public void Freeze()
    {
        _world.Loop.AssertOnLoop();
        _world.Trace.Record("freeze", Name, 0, 0);
        Process.Freeze();
    }

    /// <summary>Lets the process run again; it then meets, in order, everything that it missed.</summary>
    public void Thaw()
    {
        _world.Loop.AssertOnLoop();
        _world.Trace.Record("thaw", Name, 0, 0);
        Process.Thaw();
        foreach (SimulatedLink link in _world.LinksFrom(this))
        {
            link.Pump();
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Name;

    internal int NextPort() => ++_lastPort;
}

/// <summary>One process: what is lost when its host is killed.</summary>
internal sealed class SimulatedProcess(SimulatedHost host)
{
    private readonly Queue<Action> _missed = [];

    public SimulatedHost Host { get; } = host;

    public int UndisposedStreams { get; set; }

    public bool IsAlive { get; private set; } = true;

    public bool IsFrozen { get; private set; }

    public List<SimulatedConnection> Connections { get; } = [];

    public Dictionary<int, SimulatedListener> Listeners { get; } = [];

    /// <summary>
    /// True when the process can act now. Else <paramref name="later"/> is kept for the thaw, or dropped when the process
    /// is dead.
    /// </summary>
    public bool TryEnter(Action later)
    {
        if (IsAlive && IsFrozen)
        {
            _missed.Enqueue(later);
        }

        return IsAlive && !IsFrozen;
    }

    public void Kill()
    {
        IsAlive = false;
        _missed.Clear();
        foreach (SimulatedListener listener in Listeners.Values.ToArray())
        {
            listener.Stop();
        }

        foreach (SimulatedConnection connection in Connections.ToArray())
        {
            connection.End(new EndReason(KwikError.Internal, KwikErrorSide.Local, $"The process on '{Host}' was killed."));
        }
    }

    public void Freeze() => IsFrozen = true;

    public void Thaw()
    {
        IsFrozen = false;
        while (_missed.TryDequeue(out Action? missed))
        {
            missed();
        }
    }
}
