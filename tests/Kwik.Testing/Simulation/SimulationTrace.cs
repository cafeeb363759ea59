using System.Globalization;

namespace Kwik.Testing;

/// <summary>
/// What happened, when, in order. Two runs of one seed have the same <see cref="Hash"/>, or something in them does not
/// depend on the seed alone.
/// </summary>
public sealed class SimulationTrace
{
    private readonly EventLoop _loop;
    private readonly Entry[] _entries;

    internal SimulationTrace(EventLoop loop, int capacity)
    {
        _loop = loop;
        _entries = new Entry[capacity];
    }

    /// <summary>Entries so far; the oldest are forgotten beyond <see cref="SimulationOptions.TraceCapacity"/>.</summary>
    public long Count { get; private set; }

    /// <summary>FNV-1a over every entry and its time, forgotten ones included.</summary>
    public ulong Hash { get; private set; } = 14695981039346656037;

    /// <summary>Adds a line of the scenario's own.</summary>
    public void Add(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        _loop.AssertOnLoop();
        Record(text, null, 0, 0);
    }

    /// <summary>The entries that are kept, oldest first, as <c>seconds text</c>.</summary>
    public IEnumerable<string> Lines() => Tail(_entries.Length);

    /// <summary>At most <paramref name="count"/> of the newest entries, oldest first.</summary>
    public IEnumerable<string> Tail(int count)
    {
        long kept = Math.Min(Count, Math.Min(count, _entries.Length));
        for (long index = Count - kept; index < Count; index++)
        {
            yield return _entries[index % _entries.Length].ToString();
        }
    }

    /// <summary>Adds an event of the network without making a string of it.</summary>
    internal void Record(string what, string? where, long first, long second)
    {
        _entries[Count++ % _entries.Length] = new(_loop.Now, what, where, first, second);
        Mix(_loop.Now);
        Mix(what);
        Mix(where);
        Mix(first);
        Mix(second);
    }

    private void Mix(string? text)
    {
        foreach (char character in text ?? "")
        {
            Hash = (Hash ^ character) * 1099511628211;
        }

        Mix(-1);
    }

    private void Mix(long value)
    {
        for (int shift = 0; shift < 64; shift += 16)
        {
            Hash = (Hash ^ (ushort)(value >> shift)) * 1099511628211;
        }
    }

    private readonly record struct Entry(long Ticks, string What, string? Where, long First, long Second)
    {
        public override string ToString() => string.Create(
            CultureInfo.InvariantCulture,
            $"{(double)Ticks / TimeSpan.TicksPerSecond:F7} {What}{(Where is null ? "" : $" {Where} {First} {Second}")}");
    }
}
