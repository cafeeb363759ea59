using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;
using LeafHashes = Kwik.Data.LeafHashes;

namespace Kwik.Sessions;

/// <content>What came: leaves, the hashes that prove them, and the ends of answers.</content>
internal sealed partial class ContentFetch
{
    private readonly LeafProofs _proofs;

    // Whole leaves, hashed, whose hashes to compare with are still on their way. Within the room that was made for them.
    private readonly List<UnprovenLeaf> _unproven = [];

    private sealed record UnprovenLeaf(RangeAnswer Answer, long Offset, Lease[] Pieces, byte[] Hash)
    {
        public void Return()
        {
            foreach (Lease piece in Pieces)
            {
                piece.Return();
            }
        }
    }

    /// <summary>Offset behind the leaf that holds a byte.</summary>
    public long EndOfLeaf(long offset) => _proofs.EndOf(offset);

    /// <summary>A server's copy of a leaf is whole. Takes the pieces.</summary>
    public void LeafArrived(RangeAnswer answer, long offset, ReadOnlySpan<Lease> pieces, ReadOnlySpan<byte> hash)
    {
        LeafVerdict? verdict;
        lock (_gate)
        {
            // Null for a request that was given up meanwhile: nobody counts on it any more.
            verdict = _answers.ContainsKey(answer.Id) ? _proofs.Judge(offset, hash) : null;
            HearLocked(answer, Now);
            if (verdict == LeafVerdict.Unknown)
            {
                answer.Unproven++;
                _unproven.Add(new UnprovenLeaf(answer, offset, pieces.ToArray(), hash.ToArray()));
                return;
            }
        }

        Settle(answer, offset, pieces, verdict);
        Pump();
    }

    /// <summary>All of it came, as the server says, or, with an error, no more will.</summary>
    public void Ended(RangeAnswer answer, KwikError outcome)
    {
        _observer.RangeEnded(answer.Path, answer.Mapping, outcome);
        if (outcome == KwikError.None && TryAwaitProofs(answer))
        {
            answer.Path.CountRequests(-1);
            return;
        }

        if (TryClose(answer, avoid: false, outcome))
        {
            if (outcome != KwikError.None)
            {
                Refused(answer.Path.Id, outcome);
                return;
            }

            Pump();
        }
    }

    /// <summary>No more will come of it, because we found a fault.</summary>
    public void Failed(RangeAnswer answer, bool elsewhere, KwikError error)
    {
        _observer.RangeEnded(answer.Path, answer.Mapping, error);
        if (TryClose(answer, elsewhere, error))
        {
            Pump();
        }
    }

    /// <summary>Hashes came, or the word that there are none. Those that nobody asked for are dropped.</summary>
    public void HashesArrived(KwikPath path, Data.Wire.LeafHashes frame)
    {
        if (TakeAsked(path, (long)frame.RequestId) is not (long firstLeaf, int shown))
        {
            return;
        }

        if (frame.ErrorCode != 0)
        {
            HashesRefused(path, shown, QuicErrors.FromWire((long)frame.ErrorCode));
            return;
        }

        List<(UnprovenLeaf Leaf, LeafVerdict Verdict)>? judged = null;
        lock (_gate)
        {
            if (_proofs.TryAdd(new LeafHashes(firstLeaf, frame.Hashes.Memory, frame.Proof.Memory)))
            {
                _asked.Remove(firstLeaf);
                judged = [.. _unproven.Where(leaf => _proofs.PieceAt(leaf.Offset) == firstLeaf)
                    .Select(leaf => (leaf, _proofs.Judge(leaf.Offset, leaf.Hash)))];
                judged.ForEach(leaf => _unproven.Remove(leaf.Leaf));
            }
        }

        if (judged is null)
        {
            Blame(path, $"sent leaf hashes from leaf {firstLeaf} on that the root does not prove");
        }

        foreach ((UnprovenLeaf leaf, LeafVerdict verdict) in judged ?? [])
        {
            Settle(leaf.Answer, leaf.Offset, leaf.Pieces, verdict);
            FinishProven(leaf.Answer);
        }

        Pump();
    }

    private void HashesRefused(KwikPath path, int shown, KwikError error)
    {
        // One request too many, and one without the right grant, are repeated when they are due.
        if (error != KwikError.LimitExceeded && !(error == KwikError.AuthenticationFailed && MayAskAgain(path, shown)))
        {
            Refused(path.Id, error);
        }
        else
        {
            Pump();
        }
    }

    /// <summary>Gives a leaf to the stream, or its author the blame. Takes the pieces. Not under the lock.</summary>
    private void Settle(RangeAnswer answer, long offset, ReadOnlySpan<Lease> pieces, LeafVerdict? verdict)
    {
        if (verdict == LeafVerdict.Right)
        {
            _stream.Incoming.AcceptVerified(answer.Path.Id, offset, pieces);
        }
        else
        {
            foreach (Lease piece in pieces)
            {
                piece.Return();
            }
        }

        if (verdict == LeafVerdict.Wrong)
        {
            Blame(answer.Path, $"sent wrong bytes from {offset} to {EndOfLeaf(offset)}");
            return;
        }

        if (verdict is null)
        {
            return;
        }

        lock (_gate)
        {
            _proofs.Done(offset, EndOfLeaf(offset));
            // Also of a leaf that was here: it may have come when the scheduler had given up the lease that brought it.
            _scheduler.Verified(answer.Id, offset);
        }
    }

    /// <summary>Once: leaves that were proven late may show several at a time to be wrong.</summary>
    private void Blame(KwikPath path, string what)
    {
        var fault = new KwikException(
            KwikError.ContentMismatch, KwikErrorSide.Remote, $"Path {path.Id} {what} of the content of stream {_stream.Id}.", null, path.Id, _stream.Id);
        if (RemovePath(path.Id, fault))
        {
            _blame(path, _stream.Id, fault);
        }
    }

    /// <summary>True when nothing is missing of an answer but the proof of leaves that are here.</summary>
    private bool TryAwaitProofs(RangeAnswer answer)
    {
        lock (_gate)
        {
            return answer.HasEnded = answer.Unproven > 0 && _answers.ContainsKey(answer.Id);
        }
    }

    /// <summary>One leaf less of this answer waits for its proof.</summary>
    private void FinishProven(RangeAnswer answer)
    {
        lock (_gate)
        {
            answer.Unproven--;
            if (answer.HasEnded && answer.Unproven == 0 && _answers.Remove(answer.Id))
            {
                _scheduler.GiveBack(answer.Id, avoid: false);
            }
        }
    }

    private void DropUnprovenLocked(RangeAnswer answer)
    {
        foreach (UnprovenLeaf leaf in _unproven.FindAll(leaf => leaf.Answer == answer))
        {
            _unproven.Remove(leaf);
            leaf.Return();
        }
    }

    /// <summary>The answer has ended, one way or another; false when the request was closed before.</summary>
    private bool TryClose(RangeAnswer answer, bool avoid, KwikError error)
    {
        lock (_gate)
        {
            if (!_answers.Remove(answer.Id))
            {
                return false;
            }

            if (error != KwikError.None)
            {
                TellLostLocked(answer, error);
            }

            DropUnprovenLocked(answer);
            _scheduler.GiveBack(answer.Id, avoid);
        }

        answer.Path.CountRequests(-1);
        return true;
    }
}
