namespace Kwik.Relay;

/// <summary>
/// SplitMix64. System.Random is not used because its sequence for a seed may change with the version of .NET, and a
/// seed in a test report must replay for good.
/// </summary>
internal struct SeededRandom(ulong seed)
{
    private ulong _state = seed;

    /// <summary>Evenly distributed over [0, 1).</summary>
    public double NextDouble() => (NextUInt64() >> 11) * (1.0 / (1UL << 53));

    /// <summary>Evenly distributed over [0, <paramref name="end"/>).</summary>
    public int NextInt32(int end) => (int)(NextDouble() * end);

    /// <summary>True with this probability; certain at 0 and 1, and then draws nothing.</summary>
    public bool Chance(double probability) => probability > 0 && (probability >= 1 || NextDouble() < probability);

    public ulong NextUInt64()
    {
        ulong mixed = _state += 0x9E3779B97F4A7C15;
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
        return mixed ^ (mixed >> 31);
    }
}
