namespace Kwik.Testing;

/// <summary>A simulation failed: its scenario threw, could not go on, or left the simulation's thread.</summary>
public sealed class SimulationException : Exception
{
    internal SimulationException(string message, int seed, TimeSpan elapsed, Exception? innerException)
        : base(message, innerException)
    {
        Seed = seed;
        Elapsed = elapsed;
    }

    /// <summary>The seed that fails.</summary>
    public int Seed { get; }

    /// <summary>Virtual time at which it failed.</summary>
    public TimeSpan Elapsed { get; }
}
