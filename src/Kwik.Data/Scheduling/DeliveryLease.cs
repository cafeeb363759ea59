namespace Kwik.Data;

/// <summary>A range in whole leaves that one source was asked for.</summary>
internal sealed class DeliveryLease(long requestId, DeliverySource source, long offset, long end, TimeSpan asked)
{
    // Leaves that another source has delivered meanwhile: nobody waits for this copy.
    private readonly RangeSet _elsewhere = new();

    public long RequestId => requestId;

    public DeliverySource Source => source;

    public long Offset { get; } = offset;

    /// <summary>Offset behind the last byte that is still wanted of it.</summary>
    public long End { get; set; } = end;

    /// <summary>Offset behind the last byte that came.</summary>
    public long ReceivedEnd { get; set; } = offset;

    /// <summary>Offset behind the last leaf that was found to be right.</summary>
    public long VerifiedEnd { get; set; } = offset;

    public TimeSpan Asked => asked;

    /// <summary>It was the only one of its source when it was asked: its first byte tells the round trip.</summary>
    public bool WasAlone { get; init; }

    /// <summary>A second copy of what another lease covers.</summary>
    public bool IsExtra { get; init; }

    /// <summary>A second copy has been asked of this one.</summary>
    public bool HasExtra { get; set; }

    public long Missing => Math.Max(0, End - ReceivedEnd);

    public bool HasBegun => ReceivedEnd > Offset;

    /// <summary>True when the leaf that begins there is this lease's to bring.</summary>
    public bool Awaits(long leaf) => leaf >= VerifiedEnd && leaf < End && !_elsewhere.Contains(leaf);

    /// <summary>Another lease brought a leaf. At the end of this one it is not wanted any more: nobody is to take it over.</summary>
    public void DeliveredElsewhere(long leaf, long leafEnd, int leafSize)
    {
        _elsewhere.Add(leaf, leafEnd);
        while (End > VerifiedEnd && (End - 1) / leafSize * leafSize is var last && _elsewhere.Contains(last))
        {
            End = last;
        }
    }

    /// <summary>True when there is a leaf that only this lease can still bring.</summary>
    public bool IsWanted(int leafSize)
    {
        for (long leaf = VerifiedEnd; leaf < End; leaf += leafSize)
        {
            if (!_elsewhere.Contains(leaf))
            {
                return true;
            }
        }

        return false;
    }
}
