namespace Kwik.Data;

/// <summary>A smoothed mean and mean deviation of times, with the gains of RFC 6298: 1/8 and 1/4.</summary>
internal struct MeanAndDeviation
{
    private bool _any;

    /// <summary>Zero before the first.</summary>
    public TimeSpan Mean { get; private set; }

    public TimeSpan Deviation { get; private set; }

    /// <summary>What is rarely exceeded.</summary>
    public readonly TimeSpan Expected => Mean + (4 * Deviation);

    public void Add(TimeSpan sample)
    {
        if (!_any)
        {
            (Mean, Deviation, _any) = (sample, sample / 2, true);
            return;
        }

        Deviation += ((sample - Mean).Duration() - Deviation) / 4;
        Mean += (sample - Mean) / 8;
    }
}
