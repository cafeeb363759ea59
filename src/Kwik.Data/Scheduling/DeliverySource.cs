namespace Kwik.Data;

/// <summary>One source as the scheduler knows it: what it owes, how fast it is, and whether it is well.</summary>
internal sealed class DeliverySource(int id, TimeSpan roundTrip)
{
    private MeanAndDeviation _roundTrip = Begin(roundTrip);
    private MeanAndDeviation _pauses;
    private TimeSpan _lastHeard;

    public int Id => id;

    public RateEstimate Rate { get; } = new();

    /// <summary>Bytes a second to reckon with, also when nothing is known of it; set anew before each decision.</summary>
    public double Speed { get; set; }

    /// <summary>Bytes that it would be given at a time; set anew before each decision.</summary>
    public long LeaseLength { get; set; }

    /// <summary>What it was asked for and has not sent whole, in the order of the requests.</summary>
    public List<DeliveryLease> Leases { get; } = [];

    /// <summary>Bytes that it was asked for and that have not come.</summary>
    public long Outstanding { get; set; }

    public SourceHealth Health { get; set; }

    /// <summary>When it is tried next, while it counts as dead.</summary>
    public TimeSpan NextProbe { get; set; }

    /// <summary>Leases that came whole; the first ones are short, and grow.</summary>
    public int CompletedLeases { get; set; }

    public TimeSpan RoundTrip => _roundTrip.Mean;

    public TimeSpan LongestRoundTrip => _roundTrip.Expected;

    /// <summary>Seconds until it has sent all that it owes, and so many bytes more.</summary>
    public double Finish(long length) => RoundTrip.TotalSeconds + ((Outstanding + length) / Speed);

    public void Measured(TimeSpan sample) => _roundTrip.Add(sample);

    /// <summary>
    /// Since when it could have sent something and did not: since its last bytes, but not before the answer to the first of
    /// its open requests can be here.
    /// </summary>
    private TimeSpan SilentSince
    {
        get
        {
            TimeSpan answer = Leases.Count > 0 && !Leases[0].HasBegun ? Leases[0].Asked + LongestRoundTrip : TimeSpan.Zero;
            return answer > _lastHeard ? answer : _lastHeard;
        }
    }

    /// <summary>It is asked for more.</summary>
    public void Asked(DeliveryLease lease)
    {
        Leases.Add(lease);
        Outstanding += lease.Missing;
    }

    /// <summary>Bytes came that it owed; to be told before they are added to their lease.</summary>
    public void Progressed(DeliveryLease lease, long bytes, TimeSpan now)
    {
        if (!lease.HasBegun && lease.Asked + RoundTrip > _lastHeard)
        {
            // It had sent all that it knew of before this request came.
            Rate.Pause();
        }

        _pauses.Add(now > SilentSince ? now - SilentSince : TimeSpan.Zero);
        _lastHeard = now;
        Spared = 0;
        Rate.Arrived(bytes, now);
        Owes(-bytes);
    }

    /// <summary>It owes more or less than before.</summary>
    public void Owes(long bytes)
    {
        Outstanding += bytes;
        if (Outstanding == 0)
        {
            Rate.Pause();
        }
    }

    /// <summary>How often it was waited for longer, since its last bytes.</summary>
    public int Spared { get; private set; }

    /// <summary>It is waited for once more.</summary>
    public void Spare(TimeSpan now)
    {
        Spared++;
        _lastHeard = now;
    }

    /// <summary>Nobody watched: its silence is not held against it.</summary>
    public void RestartClock(TimeSpan now) => _lastHeard = now;

    /// <summary>When it will be suspected, or given up when it is suspected already, if it stays silent; null while it owes nothing.</summary>
    public TimeSpan? Deadline(DeliveryOptions options)
    {
        // A suspect whose work others have taken over is not cleared by that.
        if (Health == SourceHealth.Dead || (Outstanding == 0 && Health == SourceHealth.Well))
        {
            return null;
        }

        // A stream whose window is used up, or that has lost a packet, is silent for a round trip.
        TimeSpan usual = _pauses.Expected > LongestRoundTrip ? _pauses.Expected : LongestRoundTrip;
        TimeSpan pause = options.SuspectAfter > usual ? options.SuspectAfter : usual;
        return SilentSince + (Health == SourceHealth.Suspect ? pause * options.DeadAfter : pause);
    }

    private static MeanAndDeviation Begin(TimeSpan roundTrip)
    {
        var begun = default(MeanAndDeviation);
        begun.Add(roundTrip);
        return begun;
    }
}

/// <summary>
/// How a source is doing.
/// <code>
/// Well --silent--> Suspect --silent for longer--> Dead
/// Suspect, Dead --bytes--> Well
/// </code>
/// </summary>
internal enum SourceHealth
{
    /// <summary>It sends what it is asked for, or owes nothing.</summary>
    Well,

    /// <summary>It owes bytes and has been silent for longer than is usual: it is given nothing new.</summary>
    Suspect,

    /// <summary>Nothing is expected of it, until it answers a probe.</summary>
    Dead,
}
