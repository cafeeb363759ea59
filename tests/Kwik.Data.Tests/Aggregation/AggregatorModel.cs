namespace Kwik.Data.Tests;

/// <summary>The figures that an aggregator shows.</summary>
internal readonly record struct AggregatorState(
    long NextOffset, long? FinalSize, bool IsComplete, bool CanTake, long ContiguousEnd, long BufferedBytes, int Gaps, long Conflicts)
{
    public static AggregatorState Of(OffsetAggregator aggregator) => new(
        aggregator.NextOffset,
        aggregator.FinalSize,
        aggregator.IsComplete,
        aggregator.CanTake,
        aggregator.ContiguousEnd,
        aggregator.BufferedBytes,
        aggregator.Gaps,
        aggregator.Conflicts);
}

/// <summary>The contract of <see cref="OffsetAggregator"/>, byte by byte and without any cleverness.</summary>
internal sealed class AggregatorModel(AggregatorOptions options, int size)
{
    private const int Absent = -1;

    private readonly byte[] _bytes = new byte[size];
    private readonly int[] _owners = NobodyOwns(size);

    public int NextOffset { get; private set; }

    public long? FinalSize { get; private set; }

    public long DuplicateBytes { get; private set; }

    public long Conflicts { get; private set; }

    /// <summary>Who owned bytes that the last piece contradicted.</summary>
    public HashSet<int> Contradicted { get; } = [];

    /// <summary>Behind the last byte that is here or has been taken.</summary>
    public int Highest { get; private set; }

    public bool CanTake => Has(NextOffset);

    /// <summary>What <see cref="OffsetAggregator"/> says of itself.</summary>
    public AggregatorState State
    {
        get
        {
            int buffered = 0;
            int gaps = 0;
            int contiguousEnd = NextOffset;
            for (int at = NextOffset; at < Highest; at++)
            {
                bool here = Has(at);
                buffered += here ? 1 : 0;
                gaps += here && at > NextOffset && !Has(at - 1) ? 1 : 0;
                contiguousEnd += here && at == contiguousEnd ? 1 : 0;
            }

            return new(NextOffset, FinalSize, NextOffset == FinalSize, CanTake, contiguousEnd, buffered, gaps, Conflicts);
        }
    }

    public AcceptResult Accept(int source, long offset, ReadOnlySpan<byte> piece)
    {
        Contradicted.Clear();
        if (offset + piece.Length > (FinalSize ?? StreamFrame.MaxOffset))
        {
            return new(AcceptOutcome.FinalSize);
        }

        if (offset > NextOffset && (offset + piece.Length > NextOffset + options.MaxPendingBytes
            || (State.Gaps >= options.MaxGaps && StandsAlone((int)offset, piece.Length))))
        {
            return new(AcceptOutcome.Overflow);
        }

        if (piece.IsEmpty)
        {
            return new(AcceptOutcome.Accepted);
        }

        int old = (int)Math.Clamp(NextOffset - offset, 0, piece.Length);
        DuplicateBytes += old;
        return Place(source, (int)offset + old, piece[old..]);
    }

    public bool TrySetFinalSize(long finalSize)
    {
        bool fits = finalSize >= Highest && finalSize <= StreamFrame.MaxOffset && (FinalSize ?? finalSize) == finalSize;
        FinalSize = fits ? finalSize : FinalSize;
        return fits;
    }

    /// <summary>The next bytes; the caller decides how many.</summary>
    public ReadOnlySpan<byte> Take(int length)
    {
        Assert.InRange(length, 1, State.ContiguousEnd - NextOffset);
        NextOffset += length;
        return _bytes.AsSpan(NextOffset - length, length);
    }

    private static int[] NobodyOwns(int size)
    {
        var owners = new int[size];
        Array.Fill(owners, Absent);
        return owners;
    }

    private bool Has(int offset) => offset < size && _owners[offset] != Absent;

    private bool StandsAlone(int offset, int length) =>
        !_owners.AsSpan((offset - 1)..(offset + length + 1)).ContainsAnyExcept(Absent);

    private AcceptResult Place(int source, int offset, ReadOnlySpan<byte> piece)
    {
        int fresh = 0;
        int same = 0;
        for (int i = 0; i < piece.Length; i++)
        {
            if (!Has(offset + i))
            {
                fresh++;
            }
            else if (_bytes[offset + i] == piece[i])
            {
                same++;
            }
            else
            {
                Contradicted.Add(_owners[offset + i]);
            }
        }

        bool conflict = Contradicted.Count > 0;
        Conflicts += conflict ? 1 : 0;
        if (conflict && options.ConflictResolution == ConflictResolution.Reject)
        {
            return new(AcceptOutcome.Rejected);
        }

        DuplicateBytes += same;
        for (int i = 0; i < piece.Length; i++)
        {
            if (!Has(offset + i) || (_bytes[offset + i] != piece[i] && Wins(source, _owners[offset + i])))
            {
                _bytes[offset + i] = piece[i];
                _owners[offset + i] = source;
            }
        }

        Highest = Math.Max(Highest, offset + piece.Length);
        return new(conflict ? AcceptOutcome.Conflict : fresh > 0 ? AcceptOutcome.Accepted : AcceptOutcome.Duplicate, fresh);
    }

    private bool Wins(int source, int owner) => options.ConflictResolution switch
    {
        ConflictResolution.LastWins => true,
        ConflictResolution.PrimaryWins => source == 0 && owner != 0,
        _ => false,
    };
}
