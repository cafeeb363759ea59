namespace Kwik.Relay;

/// <summary>A datagram inside the relay; whoever takes it from the link recycles its buffer.</summary>
internal readonly record struct HeldDatagram(RelayClient Client, byte[] Buffer, int Length)
{
    public ReadOnlySpan<byte> Bytes => Buffer.AsSpan(0, Length);
}

/// <summary>
/// One direction: shaper, delay line, buffers and counters. The relay's thread calls everything but
/// <see cref="Options"/> and <see cref="ReadCounters"/>, which are for any thread.
/// </summary>
internal sealed class Link(LinkOptions options, ulong seed)
{
    /// <summary>Longer datagrams than QUIC's usual ones get a buffer of their own, which is not kept.</summary>
    private const int PooledSize = 2048;

    /// <summary>A pooled buffer more is garbage: 16 MiB are kept.</summary>
    private const int MaxPooled = 8192;

    private const long MaxHeldBytes = 256L * 1024 * 1024;

    private readonly LinkShaper _shaper = new(options, seed);
    private readonly DelayLine<HeldDatagram> _line = new();
    private readonly Stack<byte[]> _pool = new();
    private LinkOptions _options = options;
    private LinkOptions _applied = options;
    private long _heldBytes;

    private long _received;
    private long _receivedBytes;
    private long _forwarded;
    private long _forwardedBytes;
    private long _droppedByBlackHole;
    private long _droppedByLength;
    private long _droppedByLoss;
    private long _droppedByQueue;
    private long _droppedBySystem;
    private long _duplicated;
    private long _reordered;
    private long _corrupted;

    /// <summary>Valid options; <see cref="ApplyOptions"/> makes new ones effective.</summary>
    public LinkOptions Options
    {
        get => Volatile.Read(ref _options);
        set => Volatile.Write(ref _options, value);
    }

    public TimeSpan? NextDue => _line.NextDue;

    public void ApplyOptions(TimeSpan now)
    {
        LinkOptions options = Options;
        if (!ReferenceEquals(options, _applied))
        {
            _line.Stretch(now, _shaper.Change(options, now));
            _applied = options;
        }
    }

    public void Offer(ReadOnlySpan<byte> datagram, RelayClient client, TimeSpan now)
    {
        CountReceived(datagram.Length);
        LinkVerdict verdict = _heldBytes > MaxHeldBytes ? new() { Drop = LinkDrop.QueueFull } : _shaper.Offer(datagram, now);
        switch (verdict.Drop)
        {
            case LinkDrop.BlackHole:
                Count(ref _droppedByBlackHole, 1);
                return;
            case LinkDrop.TooLong:
                Count(ref _droppedByLength, 1);
                return;
            case LinkDrop.Loss:
                Count(ref _droppedByLoss, 1);
                return;
            case LinkDrop.QueueFull:
                Count(ref _droppedByQueue, 1);
                return;
        }

        Count(ref _reordered, verdict.HoldBack is null ? 0 : 1);
        Count(ref _duplicated, verdict.Duplicate ? 1 : 0);
        Count(ref _corrupted, verdict.FlippedBit is null ? 0 : 1);
        Hold(datagram, client, verdict);
        if (verdict.Duplicate)
        {
            Hold(datagram, client, verdict);
        }
    }

    /// <summary>Drops a datagram that arrived from a client for whom the system has no socket.</summary>
    public void Refuse(int bytes)
    {
        CountReceived(bytes);
        CountRefused(1);
    }

    public bool TryTake(TimeSpan now, out HeldDatagram datagram)
    {
        if (!_line.TryTake(now, out datagram))
        {
            return false;
        }

        _heldBytes -= datagram.Length;
        return true;
    }

    public void Recycle(byte[] buffer)
    {
        if (buffer.Length == PooledSize && _pool.Count < MaxPooled)
        {
            _pool.Push(buffer);
        }
    }

    public void CountSent(int datagrams, int bytes)
    {
        Count(ref _forwarded, datagrams);
        Count(ref _forwardedBytes, bytes);
    }

    public void CountRefused(int datagrams) => Count(ref _droppedBySystem, datagrams);

    public LinkCounters ReadCounters() => new()
    {
        Received = Volatile.Read(ref _received),
        ReceivedBytes = Volatile.Read(ref _receivedBytes),
        Forwarded = Volatile.Read(ref _forwarded),
        ForwardedBytes = Volatile.Read(ref _forwardedBytes),
        DroppedByBlackHole = Volatile.Read(ref _droppedByBlackHole),
        DroppedByLength = Volatile.Read(ref _droppedByLength),
        DroppedByLoss = Volatile.Read(ref _droppedByLoss),
        DroppedByQueue = Volatile.Read(ref _droppedByQueue),
        DroppedBySystem = Volatile.Read(ref _droppedBySystem),
        Duplicated = Volatile.Read(ref _duplicated),
        Reordered = Volatile.Read(ref _reordered),
        Corrupted = Volatile.Read(ref _corrupted),
    };

    private void Hold(ReadOnlySpan<byte> datagram, RelayClient client, in LinkVerdict verdict)
    {
        byte[] buffer = datagram.Length > PooledSize ? new byte[datagram.Length]
            : _pool.TryPop(out byte[]? pooled) ? pooled
            : new byte[PooledSize];
        datagram.CopyTo(buffer);
        if (verdict.FlippedBit is { } bit)
        {
            buffer[bit / 8] ^= (byte)(1 << (bit % 8));
        }

        _heldBytes += datagram.Length;
        _line.Add(new(client, buffer, datagram.Length), verdict);
    }

    private void CountReceived(int bytes)
    {
        Count(ref _received, 1);
        Count(ref _receivedBytes, bytes);
    }

    /// <summary>One thread writes, others read: that needs no interlocked instruction, only whole values.</summary>
    private static void Count(ref long counter, long by) => Volatile.Write(ref counter, counter + by);
}
