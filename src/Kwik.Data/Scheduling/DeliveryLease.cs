namespace Kwik.Data;

/// <summary>A range in whole leaves that one source was asked for.</summary>
internal sealed class DeliveryLease(long requestId, DeliverySource source, long offset, long end, TimeSpan asked)
{
    // Leaves that nobody waits for: another lease has brought them meanwhile, or this one, and they were verified before those in
    // front of them. The last leaf is never one of them. Rare.
    private RangeSet? _elsewhere;

    public long RequestId => requestId;

    public DeliverySource Source => source;

    public long Offset { get; } = offset;

    /// <summary>Offset behind the last byte that is still wanted of it.</summary>
    public long End { get; private set; } = end;

    /// <summary>Offset behind the last byte that came.</summary>
    public long ReceivedEnd { get; set; } = offset;

    /// <summary>All of it before this offset was found to be right; that may be far behind the last byte that came.</summary>
    public long VerifiedEnd { get; private set; } = offset;

    public TimeSpan Asked => asked;

    /// <summary>It was the only one of its source when it was asked: its first byte tells the round trip.</summary>
    public bool WasAlone { get; init; }

    /// <summary>A probe: of a leaf that anybody else may be asked for as well.</summary>
    public bool IsProbe { get; set; }

    /// <summary>The lease of which this is a second copy; null when there is none, or when that one has been given back.</summary>
    public DeliveryLease? CopyOf { get; set; }

    /// <summary>It does not count: somebody else owes all of it, or may be asked for it.</summary>
    public bool IsCopy => IsProbe || CopyOf is not null;

    public long Missing => Math.Max(0, End - ReceivedEnd);

    public bool HasBegun => ReceivedEnd > Offset;

    /// <summary>True when there is a leaf that it is to bring.</summary>
    public bool IsWanted => VerifiedEnd < End;

    /// <summary>The first leaf that it is to bring, while it is wanted.</summary>
    public long FirstAwaited => _elsewhere?.EndAt(VerifiedEnd) ?? VerifiedEnd;

    /// <summary>The first leaf from there on that another lease has brought; <see cref="End"/> when there is none.</summary>
    public long FirstGapFrom(long leaf) => Math.Min(_elsewhere?.StartFrom(leaf) ?? End, End);

    /// <summary>True when the leaf that begins there is this lease's to bring.</summary>
    public bool Awaits(long leaf) => leaf >= VerifiedEnd && leaf < End && _elsewhere?.Contains(leaf) != true;

    /// <summary>It brought a leaf, and that is right.</summary>
    public void Verified(long leaf, long leafEnd, int leafSize)
    {
        if (FirstAwaited == leaf)
        {
            VerifiedEnd = leafEnd;
        }
        else
        {
            DeliveredElsewhere(leaf, leafEnd, leafSize);
        }
    }

    /// <summary>Another lease brought a leaf. At the end of this one it is not wanted any more: nobody is to take it over.</summary>
    public void DeliveredElsewhere(long leaf, long leafEnd, int leafSize)
    {
        _elsewhere ??= new RangeSet();
        _elsewhere.Add(leaf, leafEnd);
        Shorten(End, leafSize);
    }

    /// <summary>It is to bring less: up to an offset, or to the last leaf before it that has not come elsewhere.</summary>
    public void Shorten(long end, int leafSize)
    {
        End = end;
        while (End > VerifiedEnd && (End - 1) / leafSize * leafSize is var last && _elsewhere?.Contains(last) == true)
        {
            End = last;
        }
    }
}
