namespace Kwik.Testing;

/// <summary>The limits and defaults of one simulation.</summary>
public sealed record SimulationOptions
{
    /// <summary>Virtual time after which a run fails. Default: 1 hour.</summary>
    public TimeSpan TimeLimit { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Tasks that may run at one instant of virtual time before the run counts as a livelock. Default: 1,000,000.</summary>
    public long StepLimit { get; init; } = 1_000_000;

    /// <summary>
    /// True: the seed chooses among tasks that are ready at the same time, as a thread pool might. False: first come,
    /// first served. Default: true.
    /// </summary>
    public bool ShuffleReadyTasks { get; init; } = true;

    /// <summary>Trace entries that are kept; the hash covers all. Default: 65,536, at most 4 MB.</summary>
    public int TraceCapacity { get; init; } = 65_536;

    /// <summary>One-way latency of links that nobody configured. Default: 5 ms.</summary>
    public TimeSpan DefaultLatency { get; init; } = TimeSpan.FromMilliseconds(5);
}
