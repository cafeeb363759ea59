using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using LeafHashes = Kwik.Data.LeafHashes;

namespace Kwik.Sessions;

/// <content>Asking for the hashes that prove leaves: ahead of the leaves, and of others when a server keeps them to itself.</content>
internal sealed partial class ContentFetch
{
    // A server has so long for an answer, beside round trips; each further one twice as long.
    private static readonly TimeSpan HashPatience = TimeSpan.FromMilliseconds(250);

    // Longest that a server is waited for before another one is asked.
    private static readonly TimeSpan MaxHashPatience = TimeSpan.FromSeconds(4);

    // By the first leaf: pieces that were asked for and have not come.
    private readonly Dictionary<long, AskedHashes> _asked = [];

    // When the next piece is to be asked of somebody else; null while none is under way.
    private TimeSpan? _proofsDue;

    private sealed class AskedHashes
    {
        // Every answer is good, whoever gives it. With the number of the grant that was shown.
        public Dictionary<long, (int PathId, int Shown)> Requests { get; } = [];

        public int LastPath { get; set; }

        public TimeSpan Due { get; set; }
    }

    /// <summary>Requests for what will prove a range, and half a piece beyond it, so that no leaf waits for its hash.</summary>
    private List<ControlFrame> AskForHashesLocked(Source source, DeliveryStep step, TimeSpan now)
    {
        List<ControlFrame> frames = [];
        long ahead = Math.Min(step.End + (LeafHashes.MaxCount / 2L * _offer.LeafSize), _offer.Length);
        for (long piece = _proofs.PieceAt(step.Offset); piece * _offer.LeafSize < ahead; piece += LeafHashes.MaxCount)
        {
            if (_proofs.Needs(piece) && !_asked.ContainsKey(piece))
            {
                _asked.Add(piece, new AskedHashes());
                frames.Add(AskForHashesLocked(source, piece, now));
            }
        }

        return frames;
    }

    private ControlFrame AskForHashesLocked(Source source, long firstLeaf, TimeSpan now)
    {
        AskedHashes asked = _asked[firstLeaf];
        long requestId = _nextRequestId();
        TimeSpan patience = HashPatience * (1 << Math.Min(asked.Requests.Count, 10));
        ByteString grant = GrantLocked(source, out int shown);
        asked.Requests.Add(requestId, (source.Path.Id, shown));
        asked.LastPath = source.Path.Id;
        asked.Due = now + (source.Path.RoundTrip * 3) + (patience < MaxHashPatience ? patience : MaxHashPatience);
        _proofsDue = _proofsDue < asked.Due ? _proofsDue : asked.Due;
        return new ControlFrame
        {
            LeafHashRequest = new LeafHashRequest
            {
                RequestId = (ulong)requestId,
                KwikStreamId = (ulong)_stream.Id,
                Root = _root,
                FirstLeaf = (ulong)firstLeaf,
                Grant = grant,
            },
        };
    }

    /// <summary>Asks another server, when there is one, for what is overdue, or was asked of one that is gone.</summary>
    private Action? AskAgainLocked(TimeSpan now)
    {
        if (_proofsDue is null || _proofsDue > now || _sources.Count == 0)
        {
            return null;
        }

        _proofsDue = null;
        List<(Source Source, ControlFrame Frame)> again = [];
        foreach ((long piece, AskedHashes asked) in _asked)
        {
            if (asked.Due > now)
            {
                _proofsDue = _proofsDue < asked.Due ? _proofsDue : asked.Due;
                continue;
            }

            Source next = _sources.Values.FirstOrDefault(source => source.Path.Id > asked.LastPath) ?? _sources.Values.First();
            again.Add((next, AskForHashesLocked(next, piece, now)));
        }

        return again.Count == 0 ? null : () => again.ForEach(request => request.Source.Path.Control.Send(request.Frame, urgent: true));
    }

    /// <summary>The piece that this request was for, and the grant that it showed; null when nobody waits for it any more.</summary>
    private (long FirstLeaf, int Shown)? TakeAsked(KwikPath path, long requestId)
    {
        lock (_gate)
        {
            foreach ((long piece, AskedHashes asked) in _asked)
            {
                if (asked.Requests.TryGetValue(requestId, out (int PathId, int Shown) request) && request.PathId == path.Id)
                {
                    asked.Requests.Remove(requestId);
                    return (piece, request.Shown);
                }
            }
        }

        return null;
    }

    /// <summary>What a server was asked for, and will not send, is asked of another one at once.</summary>
    private void ForgetHashesLocked(int pathId)
    {
        foreach (AskedHashes asked in _asked.Values)
        {
            if (asked.LastPath == pathId)
            {
                asked.Due = TimeSpan.Zero;
                _proofsDue = TimeSpan.Zero;
            }
        }
    }
}
