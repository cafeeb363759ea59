namespace Kwik.Data;

/// <summary>
/// How fast a source delivers: the larger of a fast and a slow moving average, so that a short pause is not taken for a
/// slower source and a faster one is noticed soon. Times when the source has nothing to do are not measured.
/// </summary>
internal sealed class RateEstimate
{
    // Arrivals come in bursts; a sample over less time than this says little.
    private const double SampleSeconds = 0.02;
    private const double FastSeconds = 0.25;
    private const double SlowSeconds = 2;

    private TimeSpan? _last;
    private double _seconds;
    private long _bytes;
    private double _fast;
    private double _slow;

    /// <summary>Bytes a second; 0 before anything is known.</summary>
    public double BytesPerSecond => Math.Max(_fast, _slow);

    /// <summary>Seconds that the estimate rests on.</summary>
    public double Measured { get; private set; }

    /// <summary>Bytes arrived. The first ones after a pause only begin a measurement: when they were sent is not known.</summary>
    public void Arrived(long bytes, TimeSpan now)
    {
        if (_last is { } last)
        {
            _seconds += (now - last).TotalSeconds;
            _bytes += bytes;
            FoldIfEnough();
        }

        _last = now;
    }

    /// <summary>The source has nothing to do any more.</summary>
    public void Pause() => _last = null;

    /// <summary>Nothing arrives although it should: the estimate follows, without waiting for the next byte.</summary>
    public void Silent(TimeSpan now)
    {
        if (_last is { } last)
        {
            _seconds += (now - last).TotalSeconds;
            _last = now;
            FoldIfEnough();
        }
    }

    private void FoldIfEnough()
    {
        // The first answers of a fast source are short; something is better than nothing.
        if (_seconds >= SampleSeconds || (Measured == 0 && _seconds > 0 && _bytes > 0))
        {
            double sample = _bytes / _seconds;
            Measured += _seconds;
            _fast = Mix(_fast, sample, FastSeconds);
            _slow = Mix(_slow, sample, SlowSeconds);
            (_seconds, _bytes) = (0, 0);
        }
    }

    // What has been measured for less than its time is a plain mean.
    private double Mix(double average, double sample, double time) =>
        average + ((sample - average) * Math.Max(1 - Math.Exp(-_seconds / time), Math.Min(1, _seconds / Measured)));
}
