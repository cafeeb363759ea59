namespace Kwik.Testing;

/// <summary>
/// One direction between two hosts. Carries every byte once, in the end: loss and black holes delay, as they do above
/// retransmission. Everything can be changed while it runs and holds for what is sent from then on.
/// </summary>
/// <remarks>
/// Streams that have something to send share the rate in turn, one segment each: 16 KiB, less on slow links (what the
/// link carries in 1 ms, at least 1,200 bytes). The rate counts payload; acknowledgements, window updates and other
/// control take time to travel but none to send. There is no congestion control: windows alone limit what is in flight.
/// </remarks>
public sealed class SimulatedLink
{
    /// <summary>Payload of one QUIC packet, roughly: the unit of loss.</summary>
    private const int PacketBytes = 1200;

    private const int LargestSegment = 16 * 1024;

    private readonly SimulatedWorld _world;
    private readonly Random _random;
    private readonly Queue<SendHalf> _senders = [];
    private readonly List<Packet> _held = [];
    private readonly Queue<Packet> _resend = [];
    private long _heldSince;
    private long _remainder;

    // Packets that are still lost of the burst that has begun.
    private int _burst;
    private bool _sending;

    internal SimulatedLink(SimulatedWorld world, SimulatedHost from, SimulatedHost to, Random random)
    {
        _world = world;
        _random = random;
        From = from;
        To = to;
    }

    /// <summary>The sending host.</summary>
    public SimulatedHost From { get; }

    /// <summary>The receiving host.</summary>
    public SimulatedHost To { get; }

    /// <summary>Time that the last bit of a segment travels.</summary>
    public TimeSpan Latency
    {
        get;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, TimeSpan.Zero);
            field = value;
        }
    }

    /// <summary>Added to the latency of each packet, evenly between zero and this. Overtaken packets wait as in QUIC.</summary>
    public TimeSpan Jitter
    {
        get;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, TimeSpan.Zero);
            field = value;
        }
    }

    /// <summary>Payload bits per second; null is without limit.</summary>
    public long? BitsPerSecond
    {
        get;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value ?? 1, 1);
            field = value;
        }
    }

    /// <summary>
    /// The part of packets that are lost, from 0 to less than 1. Each round of losses delays the segment by 9/8 of the
    /// round trip; other streams pass by.
    /// </summary>
    public double Loss
    {
        get;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 0);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(value, 1);
            field = value;
        }
    }

    /// <summary>
    /// Packets that are lost one after the other, as a queue that runs over loses them; the part of <see cref="Loss"/> stays
    /// the same. Default 1: each by itself.
    /// </summary>
    public int LossBurst
    {
        get;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            field = value;
        }
    } = 1;

    /// <summary>
    /// While true nothing arrives. What would have arrived is sent again, at the link's rate, by the first probe after
    /// the end; probes double their distance as long as nobody answers, so that healing can take as long again as the
    /// hole was open.
    /// </summary>
    public bool BlackHole
    {
        get;
        set
        {
            _world.Loop.AssertOnLoop();
            if (field == value)
            {
                return;
            }

            field = value;
            _world.Trace.Record(value ? "black hole" : "healed", ToString(), 0, 0);
            if (!value && _held.Count > 0)
            {
                _world.Loop.Schedule(NextProbe(), ReleaseHeld);
            }
        }
    }

    /// <summary>Payload bytes that left the sending host, repeated ones included.</summary>
    public long BytesSent { get; private set; }

    internal TimeSpan RoundTrip => Latency + _world.Link(To, From).Latency;

    /// <inheritdoc/>
    public override string ToString() => $"{From}>{To}";

    /// <summary>Puts a stream that has something to send in the queue for its turn.</summary>
    internal void Enqueue(SendHalf sender)
    {
        if (!sender.IsQueued)
        {
            sender.IsQueued = true;
            _senders.Enqueue(sender);
            Pump();
        }
    }

    /// <summary>Sends what waits, one segment at a time; stops when the wire is busy or the sending process stopped.</summary>
    internal void Pump()
    {
        if (_sending)
        {
            return;
        }

        // Also true while the next packet is chosen: a stream that goes back into the queue then begins no second round.
        _sending = true;
        while (!From.IsFrozen && NextPacket() is { } packet)
        {
            BytesSent += packet.Bytes;
            long ticks = SerialisationTicks(packet.Bytes);
            if (ticks > 0)
            {
                _world.Loop.Schedule(_world.Loop.Now + ticks, () =>
                {
                    _sending = false;
                    Carry(packet);
                    Pump();
                });
                return;
            }

            Carry(packet);
        }

        _sending = false;
    }

    /// <summary>Carries a packet that has left its sender.</summary>
    internal void Carry(Packet packet) =>
        _world.Loop.Schedule(_world.Loop.Now + Latency.Ticks + JitterTicks() + LossTicks(packet.Bytes), () => Arrive(packet));

    private Packet? NextPacket()
    {
        if (_resend.TryDequeue(out Packet? again))
        {
            return again;
        }

        int largest = BitsPerSecond is { } rate ? (int)Math.Clamp(rate / 8000, PacketBytes, LargestSegment) : LargestSegment;
        while (_senders.TryDequeue(out SendHalf? sender))
        {
            sender.IsQueued = false;
            Packet? packet = sender.TakeSegment(largest);
            sender.Wake();
            if (packet is not null)
            {
                return packet;
            }
        }

        // Nothing waits: what the rate did not fill of the last tick is gone.
        _remainder = 0;
        return null;
    }

    private long SerialisationTicks(int bytes)
    {
        if (BitsPerSecond is not { } rate)
        {
            return 0;
        }

        // What does not divide is carried on, so that a busy link is exact over any number of segments.
        (long ticks, _remainder) = Math.DivRem((bytes * 8L * TimeSpan.TicksPerSecond) + _remainder, rate);
        return ticks;
    }

    private long JitterTicks() => Jitter > TimeSpan.Zero ? _random.NextInt64(Jitter.Ticks + 1) : 0;

    private long LossTicks(int bytes)
    {
        if (Loss == 0)
        {
            return 0;
        }

        int rounds = -1;
        for (int missing = Math.Max(1, (bytes + PacketBytes - 1) / PacketBytes); missing > 0; rounds++)
        {
            int sent = missing;
            for (int packet = 0; packet < sent; packet++)
            {
                missing -= IsLost() ? 0 : 1;
            }
        }

        return rounds * Math.Max(RoundTrip.Ticks, TimeSpan.TicksPerMillisecond) * 9 / 8;
    }

    /// <summary>
    /// A part p of packets is lost in bursts of n when each packet outside of them begins one with probability p / (p + n (1 - p)).
    /// </summary>
    private bool IsLost()
    {
        if (_burst > 0)
        {
            _burst--;
            return true;
        }

        bool begins = _random.NextDouble() < (LossBurst == 1 ? Loss : Loss / (Loss + (LossBurst * (1 - Loss))));
        _burst = begins ? LossBurst - 1 : 0;
        return begins;
    }

    private void Arrive(Packet packet)
    {
        if (!BlackHole)
        {
            packet.Deliver();
            return;
        }

        if (_held.Count == 0)
        {
            _heldSince = _world.Loop.Now;
        }

        _held.Add(packet);
    }

    private long NextProbe()
    {
        long interval = Math.Max(3 * RoundTrip.Ticks, 20 * TimeSpan.TicksPerMillisecond);
        long probe = _heldSince + interval;
        while (probe < _world.Loop.Now)
        {
            interval *= 2;
            probe += interval;
        }

        return probe;
    }

    private void ReleaseHeld()
    {
        // Into the next hole, perhaps; then they are held again.
        foreach (Packet packet in _held)
        {
            _resend.Enqueue(packet);
        }

        _held.Clear();
        Pump();
    }
}

/// <summary>Something on its way, of <paramref name="Bytes"/> bytes of payload; control has none.</summary>
internal sealed record Packet(Action Deliver, int Bytes);
