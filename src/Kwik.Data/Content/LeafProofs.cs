namespace Kwik.Data;

/// <summary>How the bytes of a leaf stand against the content that was offered.</summary>
internal enum LeafVerdict
{
    /// <summary>Its hash is not known yet.</summary>
    Unknown,

    /// <summary>These are the bytes of the content.</summary>
    Right,

    /// <summary>They are not.</summary>
    Wrong,

    /// <summary>The leaf was here already.</summary>
    Known,
}

/// <summary>
/// What a client knows of the leaves of one content: which ones it has, and the proven hashes of those that are on their way.
/// Keeps the hashes of a piece (<see cref="LeafHashes"/>, 32 KiB) for as long as a leaf of it is missing and was asked for.
/// Not safe for concurrent use.
/// </summary>
internal sealed class LeafProofs
{
    private readonly ContentOffer _offer;
    private readonly RangeSet _done = new();
    private readonly Dictionary<long, LeafHashes> _pieces = [];

    public LeafProofs(ContentOffer offer)
    {
        _offer = offer;
        if (LeafHashes.CountOf(offer.Length, offer.LeafSize) == 1)
        {
            // The root of one leaf is the leaf's own hash.
            _pieces.Add(0, new LeafHashes(0, offer.Root.ToByteArray(), default));
        }
    }

    /// <summary>Pieces of hashes that are held.</summary>
    public int Held => _pieces.Count;

    /// <summary>Offset behind the leaf that holds a byte.</summary>
    public long EndOf(long offset) => Math.Min((offset / _offer.LeafSize * _offer.LeafSize) + _offer.LeafSize, _offer.Length);

    /// <summary>The first leaf of the piece that proves the byte at an offset.</summary>
    public long PieceAt(long offset) => LeafHashes.FirstOf(offset / _offer.LeafSize);

    /// <summary>True while hashes of this piece are of use and not here.</summary>
    public bool Needs(long firstLeaf) => !_pieces.ContainsKey(firstLeaf) && !IsDone(firstLeaf);

    /// <summary>True when every leaf of a piece is here.</summary>
    public bool IsDone(long firstLeaf) =>
        _done.Covers(firstLeaf * _offer.LeafSize, Math.Min((firstLeaf + LeafHashes.MaxCount) * _offer.LeafSize, _offer.Length));

    /// <summary>Takes hashes, if they are proven; false when they are not.</summary>
    public bool TryAdd(LeafHashes hashes)
    {
        if (!hashes.Prove(_offer))
        {
            return false;
        }

        if (!IsDone(hashes.FirstLeaf))
        {
            _pieces[hashes.FirstLeaf] = hashes;
        }

        return true;
    }

    /// <summary>Judges the leaf that begins at an offset by the hash of its bytes.</summary>
    public LeafVerdict Judge(long offset, ReadOnlySpan<byte> hash)
    {
        if (_done.Contains(offset))
        {
            return LeafVerdict.Known;
        }

        return !_pieces.TryGetValue(PieceAt(offset), out LeafHashes? piece) ? LeafVerdict.Unknown
            : piece[offset / _offer.LeafSize].SequenceEqual(hash) ? LeafVerdict.Right
            : LeafVerdict.Wrong;
    }

    /// <summary>A range in whole leaves without those at its ends that are here; null when all are.</summary>
    public (long Offset, long Length)? FindMissing(long start, long end)
    {
        while (start < end && _done.Contains(start))
        {
            start = EndOf(start);
        }

        while (start < end && _done.Contains(end - 1))
        {
            end = (end - 1) / _offer.LeafSize * _offer.LeafSize;
        }

        return start < end ? (start, end - start) : null;
    }

    /// <summary>Leaves are here; hashes that prove nothing else are dropped.</summary>
    public void Done(long offset, long end)
    {
        _done.Add(offset, end);
        for (long piece = PieceAt(offset); piece * _offer.LeafSize < end; piece += LeafHashes.MaxCount)
        {
            if (IsDone(piece))
            {
                _pieces.Remove(piece);
            }
        }
    }
}
