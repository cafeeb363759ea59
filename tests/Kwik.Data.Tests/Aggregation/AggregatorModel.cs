namespace Kwik.Data.Tests;

/// <summary>The figures that an aggregator shows.</summary>
internal readonly record struct AggregatorState(
    long NextOffset,
    long TakenBytes,
    long HighestOffset,
    long? FinalSize,
    bool IsComplete,
    bool CanTake,
    long ContiguousEnd,
    (long Offset, long End)? FirstHole,
    long BufferedBytes,
    int Gaps,
    long Conflicts,
    long DuplicateBytes)
{
    public static AggregatorState Of(OffsetAggregator aggregator) => new(
        aggregator.NextOffset,
        aggregator.TakenBytes,
        aggregator.HighestOffset,
        aggregator.FinalSize,
        aggregator.IsComplete,
        aggregator.CanTake,
        aggregator.ContiguousEnd,
        aggregator.FirstHole,
        aggregator.BufferedBytes,
        aggregator.Gaps,
        aggregator.Conflicts,
        aggregator.DuplicateBytes);
}

/// <summary>The contract of <see cref="OffsetAggregator"/>, byte by byte and without any cleverness.</summary>
internal sealed class AggregatorModel(AggregatorOptions options, int size)
{
    private const int Nobody = -1;
    private const int Taken = -2;

    private readonly byte[] _bytes = new byte[size];

    // Whose bytes are held, or one of the two above.
    private readonly int[] _owners = NobodyOwns(size);
    private readonly Dictionary<int, long> _sourceOffsets = [];
    private long _duplicateBytes;
    private long _conflicts;

    public int NextOffset { get; private set; }

    public long? FinalSize { get; private set; }

    public bool IsPositioned { get; set; }

    /// <summary>Behind the last byte that is held or has been taken.</summary>
    public int Highest { get; private set; }

    /// <summary>Offset of the piece that the next take gives; null when it gives none.</summary>
    public int? NextTake
    {
        get
        {
            int ahead = _owners.AsSpan(NextOffset..Highest).IndexOfAnyInRange(0, int.MaxValue);
            return ahead == 0 || (IsPositioned && ahead > 0) ? NextOffset + ahead : null;
        }
    }

    /// <summary>What <see cref="OffsetAggregator"/> says of itself.</summary>
    public AggregatorState State
    {
        get
        {
            int buffered = 0;
            int gaps = 0;
            int contiguousEnd = NextOffset;
            long? behindHole = FinalSize > NextOffset ? FinalSize : null;
            for (int at = Highest - 1; at >= NextOffset; at--)
            {
                buffered += _owners[at] >= 0 ? 1 : 0;
                gaps += IsHere(at) && at > NextOffset && !IsHere(at - 1) ? 1 : 0;
                behindHole = IsHere(at) ? at : behindHole;
            }

            while (IsHere(contiguousEnd))
            {
                contiguousEnd++;
            }

            return new(
                NextOffset,
                _owners.Count(owner => owner == Taken),
                Highest,
                FinalSize,
                NextOffset == FinalSize,
                NextTake is not null,
                contiguousEnd,
                behindHole > NextOffset ? (NextOffset, behindHole.Value) : null,
                buffered,
                gaps,
                _conflicts,
                _duplicateBytes);
        }
    }

    public AcceptOutcome Validate(long offset, int length)
    {
        if (offset + length > (FinalSize ?? StreamFrame.MaxOffset))
        {
            return AcceptOutcome.FinalSize;
        }

        AggregatorState state = State;
        bool exceedsWindow = (IsPositioned ? state.BufferedBytes : offset - NextOffset) + length > options.MaxPendingBytes;
        bool exceedsGaps = state.Gaps >= options.MaxGaps && StandsAlone((int)offset, length);
        return offset > NextOffset && (exceedsWindow || exceedsGaps) ? AcceptOutcome.Overflow : AcceptOutcome.Accepted;
    }

    public AcceptResult Accept(int source, int offset, ReadOnlySpan<byte> piece)
    {
        AcceptOutcome refused = Validate(offset, piece.Length);
        if (refused != AcceptOutcome.Accepted || piece.IsEmpty)
        {
            return new(refused);
        }

        AcceptResult result = Place(source, offset, piece);
        if (result.Outcome != AcceptOutcome.Rejected)
        {
            _sourceOffsets[source] = Math.Max(SourceOffset(source), offset + piece.Length);
        }

        return result;
    }

    public long SourceOffset(int source) => _sourceOffsets.GetValueOrDefault(source, -1);

    public List<(long Offset, long Length)> Missing(int start, int end)
    {
        List<(long Offset, long Length)> missing = [];
        for (int at = start; at < end; at++)
        {
            if (IsHere(at))
            {
                continue;
            }

            bool extends = missing.Count > 0 && missing[^1].Offset + missing[^1].Length == at;
            (long first, long length) = extends ? missing[^1] : (at, 0);
            missing.RemoveRange(missing.Count - (extends ? 1 : 0), extends ? 1 : 0);
            missing.Add((first, length + 1));
        }

        return missing;
    }

    public bool TrySetFinalSize(long finalSize)
    {
        bool fits = finalSize >= Highest && finalSize <= StreamFrame.MaxOffset && (FinalSize ?? finalSize) == finalSize;
        FinalSize = fits ? finalSize : FinalSize;
        return fits;
    }

    /// <summary>The bytes from <see cref="NextTake"/> on; the caller decides how many.</summary>
    public ReadOnlySpan<byte> Take(int length)
    {
        int offset = NextTake!.Value;
        Assert.InRange(length, 1, size - offset);
        Span<int> owners = _owners.AsSpan(offset, length);
        Assert.False(owners.Contains(Nobody) || owners.Contains(Taken), "Bytes are delivered that are not held.");
        owners.Fill(Taken);
        while (_owners[NextOffset] == Taken)
        {
            NextOffset++;
        }

        return _bytes.AsSpan(offset, length);
    }

    private static int[] NobodyOwns(int size)
    {
        var owners = new int[size];
        Array.Fill(owners, Nobody);
        return owners;
    }

    private bool IsHere(int offset) => offset < size && _owners[offset] != Nobody;

    private bool StandsAlone(int offset, int length) =>
        !_owners.AsSpan(Math.Max(0, offset - 1)..(offset + length + 1)).ContainsAnyExcept(Nobody);

    private AcceptResult Place(int source, int offset, ReadOnlySpan<byte> piece)
    {
        int fresh = 0;
        int same = 0;
        int contradicted = Nobody;
        for (int i = 0; i < piece.Length; i++)
        {
            int owner = _owners[offset + i];
            bool equal = owner == Taken || (owner >= 0 && _bytes[offset + i] == piece[i]);
            fresh += owner == Nobody ? 1 : 0;
            same += equal ? 1 : 0;
            contradicted = contradicted < 0 && owner >= 0 && !equal ? owner : contradicted;
        }

        _conflicts += contradicted >= 0 ? 1 : 0;
        if (contradicted >= 0 && options.ConflictResolution == ConflictResolution.Reject)
        {
            return new(AcceptOutcome.Rejected, 0, contradicted);
        }

        _duplicateBytes += same;
        for (int i = 0; i < piece.Length; i++)
        {
            // Who wins anywhere takes over all that the piece overlaps.
            int owner = _owners[offset + i];
            if (owner == Nobody || (owner >= 0 && contradicted >= 0 && Wins(source, owner)))
            {
                _bytes[offset + i] = piece[i];
                _owners[offset + i] = source;
            }
        }

        Highest = Math.Max(Highest, offset + piece.Length);
        AcceptOutcome outcome = contradicted >= 0 ? AcceptOutcome.Conflict
            : fresh > 0 ? AcceptOutcome.Accepted
            : AcceptOutcome.Duplicate;
        return new(outcome, fresh, contradicted);
    }

    private bool Wins(int source, int owner) => options.ConflictResolution switch
    {
        ConflictResolution.LastWins => true,
        ConflictResolution.PrimaryWins => source == 0 && owner != 0,
        _ => false,
    };
}
