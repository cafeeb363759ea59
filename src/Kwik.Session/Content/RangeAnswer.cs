using System.Runtime.InteropServices;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// A range that one server was asked for, and what came of it: puts the bytes together to leaves and hashes them while they
/// arrive. Every server has its own copy of a leaf, so that a wrong one has one author.
/// </summary>
/// <remarks>
/// The leaf in the making belongs to the task that reads the answer. What is said to be under the fetch's lock belongs to
/// <see cref="ContentFetch"/>.
/// </remarks>
internal sealed class RangeAnswer : IRangeReceiver
{
    private readonly ContentFetch _fetch;
    private readonly List<Lease> _pieces = [];
    private LeafHasher? _hasher;

    // Where the leaf in the making begins and ends, and the next byte that is expected: before the leaf, when a piece was left
    // out and the rest of its leaf is of no use.
    private long _leaf;
    private long _leafEnd;
    private long _next;

    public RangeAnswer(ContentFetch fetch, KwikPath path, KwikStream stream, DeliveryStep step, int shownGrant)
    {
        _fetch = fetch;
        Path = path;
        ShownGrant = shownGrant;
        Mapping = new StreamMapping(path.Id, step.RequestId, stream, step.Offset, step.End - step.Offset, this);
        BeginLeaf(step.Offset);
    }

    public KwikPath Path { get; }

    public StreamMapping Mapping { get; }

    public long Id => Mapping.RequestId;

    /// <summary>The number of the grant that went with the request; 0: none did.</summary>
    public int ShownGrant { get; }

    /// <summary>Bytes that the scheduler has heard of. Under the fetch's lock.</summary>
    public long Reported { get; set; }

    /// <summary>Whole leaves whose hash is not known yet. Under the fetch's lock.</summary>
    public int Unproven { get; set; }

    /// <summary>All of it came; it is kept for its unproven leaves. Under the fetch's lock.</summary>
    public bool HasEnded { get; set; }

    /// <summary>The server said no.</summary>
    public void Refused(KwikError error)
    {
        if (error == KwikError.LimitExceeded && Path.TryLowerLimit())
        {
            // One too many: the range is asked of any server that has room.
            _fetch.Ended(this, KwikError.None);
            return;
        }

        _fetch.Refused(this, error);
    }

    void IRangeReceiver.Receive(long offset, List<Lease> pieces)
    {
        if (offset != _next)
        {
            Release();
            BeginLeaf(_fetch.EndOfLeaf(offset - 1));
            _next = offset;
        }

        foreach (Lease piece in pieces)
        {
            for (Lease? rest = piece; rest is not null;)
            {
                Lease part = rest;
                long end = _next < _leaf ? _leaf : _leafEnd;
                rest = part.Length > end - _next ? part.Split((int)(end - _next)) : null;
                Append(part);
            }
        }

        pieces.Clear();
    }

    void IRangeReceiver.Ended(KwikError outcome)
    {
        Release();
        _fetch.Ended(this, outcome);
    }

    void IRangeReceiver.Failed(bool elsewhere, KwikError error)
    {
        Release();
        _fetch.Failed(this, elsewhere, error);
    }

    void IRangeReceiver.Ignored() => Release();

    private void Append(Lease part)
    {
        _next += part.Length;
        if (_next <= _leaf)
        {
            // The rest of a leaf of which a piece was left out.
            part.Return();
            return;
        }

        (_hasher ??= new()).Append(part.Span);
        _pieces.Add(part);
        if (_next == _leafEnd)
        {
            Span<byte> hash = stackalloc byte[ContentRoot.Size];
            _hasher.Finish(hash);
            try
            {
                _fetch.LeafArrived(this, _leaf, CollectionsMarshal.AsSpan(_pieces), hash);
            }
            finally
            {
                // Whatever becomes of them, they are no longer ours to return.
                _pieces.Clear();
                BeginLeaf(_leafEnd);
            }
        }
    }

    private void BeginLeaf(long offset) => (_leaf, _leafEnd, _next) = (offset, _fetch.EndOfLeaf(offset), offset);

    /// <summary>Gives up the leaf in the making.</summary>
    private void Release()
    {
        _pieces.ForEach(piece => piece.Return());
        _pieces.Clear();
        _hasher?.Dispose();
        _hasher = null;
    }
}
