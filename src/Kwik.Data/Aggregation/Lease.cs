namespace Kwik.Data;

/// <summary>
/// A piece of received payload in pooled memory. Has exactly one owner at any time: it moves from the frame reader to
/// the aggregator to the reader, and whoever has it last returns it, once.
/// </summary>
internal sealed class Lease
{
    private readonly LeasePool _pool;
    private readonly byte[] _block;
    private int _start;
    private int _lent;

    internal Lease(LeasePool pool, int capacity)
    {
        _pool = pool;
        _block = new byte[capacity];
    }

    /// <summary>Bytes of memory behind this lease, whatever its length.</summary>
    public int Capacity => _block.Length;

    /// <summary>Bytes in use.</summary>
    public int Length { get; private set; }

    /// <summary>The bytes in use.</summary>
    public Memory<byte> Memory => _block.AsMemory(_start, Length);

    /// <summary>The bytes in use.</summary>
    public Span<byte> Span => _block.AsSpan(_start, Length);

    /// <summary>Bytes that could be appended.</summary>
    public int Room => _block.Length - _start - Length;

    /// <summary>The unused memory behind the bytes in use.</summary>
    public Memory<byte> Free => _block.AsMemory(_start + Length);

    /// <summary>Counts bytes that were written into <see cref="Free"/>.</summary>
    public void Extend(int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)count, (uint)Room);
        Length += count;
    }

    /// <summary>Drops bytes at the front.</summary>
    public void TrimStart(int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)count, (uint)Length);
        _start += count;
        Length -= count;
    }

    /// <summary>Drops bytes at the end, so that <paramref name="length"/> remain.</summary>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)length, (uint)Length);
        Length = length;
    }

    /// <summary>Keeps the first bytes; the others are copied into a new lease, which the caller owns.</summary>
    public Lease Split(int length)
    {
        Lease rest = _pool.Rent(Length - length);
        Span[length..].CopyTo(rest.Free.Span);
        rest.Extend(Length - length);
        Truncate(length);
        return rest;
    }

    /// <summary>Gives the memory back; the lease must not be used afterwards.</summary>
    /// <exception cref="InvalidOperationException">It was returned before: two owners, a bug.</exception>
    public void Return()
    {
        if (Interlocked.Exchange(ref _lent, 0) == 0)
        {
            throw new InvalidOperationException("A lease was returned twice.");
        }

        _pool.TakeBack(this);
    }

    internal void Lend()
    {
        _start = 0;
        Length = 0;
        _lent = 1;
    }
}
