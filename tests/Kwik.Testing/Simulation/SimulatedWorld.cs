using System.Net;

namespace Kwik.Testing;

/// <summary>What a scenario has at hand: time, chance, hosts, and the links between them.</summary>
public sealed class SimulatedWorld
{
    private readonly SimulationOptions _options;
    private readonly Dictionary<string, SimulatedHost> _hosts = [];
    private readonly Dictionary<(SimulatedHost, SimulatedHost), SimulatedLink> _links = [];

    internal SimulatedWorld(int seed, SimulationOptions options, EventLoop loop)
    {
        _options = options;
        Loop = loop;
        Seed = seed;
        Random = new Random(seed);
        Time = new VirtualTimeProvider(loop);
        Trace = new SimulationTrace(loop, options.TraceCapacity);
    }

    /// <summary>The seed of this run.</summary>
    public int Seed { get; }

    /// <summary>Chance for the scenario; links have their own, so that using it does not change the network.</summary>
    public Random Random { get; }

    /// <summary>The clock of the simulation itself; <see cref="SimulatedHost.Time"/> also stops with its host.</summary>
    public VirtualTimeProvider Time { get; }

    /// <summary>What happened.</summary>
    public SimulationTrace Trace { get; }

    /// <summary>Every host, in the order in which they were made.</summary>
    public IReadOnlyCollection<SimulatedHost> Hosts => _hosts.Values;

    internal EventLoop Loop { get; }

    /// <summary>Live connections, each as its client's end, oldest first.</summary>
    internal List<SimulatedConnection> Connections { get; } = [];

    /// <summary>
    /// The host of that name; made at the first call, with the address given or else 10.0.0.1, 10.0.0.2 and so on.
    /// </summary>
    public SimulatedHost Host(string name, IPAddress? address = null)
    {
        if (!_hosts.TryGetValue(name, out SimulatedHost? host))
        {
            int number = _hosts.Count + 1;
            host = new SimulatedHost(this, name, address ?? new IPAddress([10, 0, (byte)(number >> 8), (byte)number]));
            if (FindHost(host.Address) is { } other)
            {
                throw new ArgumentException($"{host.Address} belongs to '{other.Name}'.", nameof(address));
            }

            _hosts.Add(name, host);
        }

        return host;
    }

    /// <summary>The link that carries what <paramref name="from"/> sends to <paramref name="to"/>; one way only.</summary>
    public SimulatedLink Link(SimulatedHost from, SimulatedHost to)
    {
        ArgumentNullException.ThrowIfNull(from);
        ArgumentNullException.ThrowIfNull(to);
        if (!_links.TryGetValue((from, to), out SimulatedLink? link))
        {
            link = new SimulatedLink(this, from, to, new Random(HashCode(Seed, _links.Count)))
            {
                Latency = from == to ? TimeSpan.Zero : _options.DefaultLatency,
            };
            _links.Add((from, to), link);
        }

        return link;
    }

    /// <summary>Both directions between two hosts, set alike.</summary>
    public void SetLinks(SimulatedHost one, SimulatedHost other, Action<SimulatedLink> set)
    {
        ArgumentNullException.ThrowIfNull(set);
        set(Link(one, other));
        set(Link(other, one));
    }

    /// <summary>Waits for virtual time to pass.</summary>
    public Task Delay(TimeSpan time) => Task.Delay(time, Time);

    internal SimulatedHost? FindHost(IPAddress address) => _hosts.Values.FirstOrDefault(host => host.Address.Equals(address));

    internal IEnumerable<SimulatedLink> LinksFrom(SimulatedHost host) => _links.Values.Where(link => link.From == host);

    internal IEnumerable<string> Describe()
    {
        foreach (SimulatedConnection connection in Connections.Take(20))
        {
            yield return $"Open: {connection}; its peer: {connection.Peer}";
        }
    }

    // Neighbouring seeds and links must not share a sequence; System.HashCode differs from process to process.
    private static int HashCode(int seed, int link) => unchecked((int)(((uint)seed * 0x9E3779B1) ^ ((uint)(link + 1) * 0x85EBCA77)));
}
