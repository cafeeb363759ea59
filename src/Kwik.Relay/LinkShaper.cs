namespace Kwik.Relay;

/// <summary>
/// Decides what becomes of each datagram on one direction of a link: no I/O, no clock, and the same verdicts for the
/// same seed, options and arrivals.
/// </summary>
/// <remarks>
/// The bottleneck is a virtual clock: a datagram departs at max(now, departure of the one before) + size / rate. Being
/// told of an arrival late therefore costs no capacity while anything waits. Not thread-safe; <c>now</c> never decreases.
/// </remarks>
public sealed class LinkShaper
{
    private LinkOptions _options;
    private SeededRandom _random;

    /// <summary>When the bottleneck has sent all that it accepted. In ticks, fractions kept: rounding each datagram would
    /// change the rate by some tenths of a percent.</summary>
    private double _freeAt;

    private int _burstLeft;

    /// <summary>Arrivals under these options.</summary>
    private long _arrived;

    /// <summary>Starts an idle link.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    public LinkShaper(LinkOptions options, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        _options = options;
        _random = new(seed);
    }

    /// <summary>Decides about a datagram that arrives now.</summary>
    public LinkVerdict Offer(ReadOnlySpan<byte> datagram, TimeSpan now)
    {
        _arrived++;
        if (_options.BlackHole)
        {
            return new() { Drop = LinkDrop.BlackHole };
        }

        if (datagram.Length > _options.MaxDatagramBytes)
        {
            return new() { Drop = LinkDrop.TooLong };
        }

        if (_options.DropPositions.Contains(_arrived) || IsLost())
        {
            return new() { Drop = LinkDrop.Loss };
        }

        if (!TryQueue(datagram.Length, now, out TimeSpan departure))
        {
            return new() { Drop = LinkDrop.QueueFull };
        }

        return new()
        {
            Departure = departure,
            Propagation = _options.Delay + (_options.Jitter > TimeSpan.Zero ? _options.Jitter * _random.NextDouble() : default),
            HoldBack = _random.Chance(_options.Reordering) ? _options.ReorderingDelay : null,
            Duplicate = _random.Chance(_options.Duplication),
            FlippedBit = IsCorrupted(datagram) ? _random.NextInt32(datagram.Length * 8) : null,
        };
    }

    /// <summary>
    /// Replaces the options for what arrives from now on; what waits for the bottleneck goes on at the new rate.
    /// </summary>
    /// <returns>
    /// What to multiply the time by that remains until each departure of earlier verdicts that lies after
    /// <paramref name="now"/>: 0 when there is no bottleneck any more.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    public double Change(LinkOptions options, TimeSpan now)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        double stretch = (_options.BitsPerSecond, options.BitsPerSecond) switch
        {
            (null, _) => 1, // nothing waits
            (_, null) => 0,
            ({ } old, { } next) => (double)old / next,
        };
        if (_freeAt > now.Ticks)
        {
            _freeAt = now.Ticks + ((_freeAt - now.Ticks) * stretch);
        }

        _burstLeft = 0;
        _arrived = 0;
        _options = options;
        return stretch;
    }

    private bool IsLost()
    {
        if (_burstLeft == 0 && _random.Chance(BurstStart(_options)))
        {
            _burstLeft = _options.LossBurst;
        }

        if (_burstLeft == 0)
        {
            return false;
        }

        _burstLeft--;
        return true;
    }

    /// <summary>
    /// The probability p that a burst of L starts, such that the share s is lost: between bursts (1 - p) / p datagrams
    /// pass on average, hence s = L / (L + (1 - p) / p).
    /// </summary>
    private static double BurstStart(LinkOptions options) =>
        options.Loss / ((options.LossBurst * (1 - options.Loss)) + options.Loss);

    private bool TryQueue(int bytes, TimeSpan now, out TimeSpan departure)
    {
        departure = now;
        if (_options.BitsPerSecond is not { } bitsPerSecond)
        {
            return true;
        }

        double ticksPerByte = 8.0 * TimeSpan.TicksPerSecond / bitsPerSecond;
        double waiting = (_freeAt - now.Ticks) / ticksPerByte;
        if (waiting > 0 && waiting + bytes > _options.QueueBytes)
        {
            return false;
        }

        _freeAt = Math.Max(_freeAt, now.Ticks) + (bytes * ticksPerByte);
        departure = new((long)Math.Ceiling(_freeAt));
        return true;
    }

    private bool IsCorrupted(ReadOnlySpan<byte> datagram) =>
        datagram.Length > 0
        && _random.Chance((datagram[0] & 0x80) != 0 ? _options.LongHeaderCorruption ?? _options.Corruption : _options.Corruption);
}
