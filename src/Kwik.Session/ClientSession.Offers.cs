using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;
using ContentOffer = Kwik.Data.ContentOffer;
using WireOffer = Kwik.Data.Wire.ContentOffer;

namespace Kwik.Sessions;

public sealed partial class ClientSession
{
    private static readonly ContentRoot EmptyRoot = ContentTree.Compute([]).Offer.Root;

    // Offers for streams that the primary opened and whose header has not arrived yet.
    private readonly Dictionary<long, WireOffer> _earlyOffers = [];

    private void OnOffer(WireOffer offer)
    {
        if (offer.Root.Length != ContentRoot.Size || offer.Length > (ulong)ContentOffer.MaxLength
            || !ContentHasher.IsLeafSize(offer.LeafSize) || offer.Grant.Length > HeldGrant.MaxSize)
        {
            throw Violation($"An offer for stream {offer.KwikStreamId} has values out of range.");
        }

        KwikStream? stream;
        bool wasClosed;
        lock (_gate)
        {
            _streams.TryFind((long)offer.KwikStreamId, out stream, out wasClosed);
            if (stream is null && !wasClosed && IsPrimarys(offer.KwikStreamId))
            {
                // As many as streams that the primary may open. Beyond that the oldest is for a stream that was closed
                // before its offer came.
                if (_earlyOffers.Count == _options.MaxPublicStreams)
                {
                    _earlyOffers.Remove(_earlyOffers.Keys.Min());
                }

                _earlyOffers[(long)offer.KwikStreamId] = offer;
            }
        }

        if (stream is not null)
        {
            Apply(stream, offer);
        }
        else if (wasClosed)
        {
            TellClosed(_primary, (long)offer.KwikStreamId);
        }
    }

    /// <summary>A stream of the primary's has arrived; its offer may have come before it.</summary>
    private void OnAccepted(KwikStream stream)
    {
        WireOffer? offer;
        lock (_gate)
        {
            offer = _earlyOffers.GetValueOrDefault(stream.Id);
        }

        if (offer is null)
        {
            return;
        }

        ByteString grant = offer.Grant;
        Apply(stream, offer);
        lock (_gate)
        {
            // Until now a renewal found it here.
            _earlyOffers.Remove(stream.Id, out offer);
        }

        if (offer is not null && offer.Grant != grant)
        {
            FindFetch(stream.Id)?.Renew(new HeldGrant(offer.Grant, _environment.Time));
        }
    }

    /// <summary>The primary has signed anew that this client may have what it offered.</summary>
    private void OnGrantRenewal(GrantRenewal renewal)
    {
        long streamId = (long)renewal.KwikStreamId;
        KeyHash client = KeyHash.OfCertificate(_target.ClientCertificate);
        bool isRight;
        lock (_gate)
        {
            bool isOpen = _streams.TryFind(streamId, out KwikStream? stream, out _);
            bool isEarly = _earlyOffers.TryGetValue(streamId, out WireOffer? early);
            if (!isOpen && !isEarly)
            {
                // Closed meanwhile, perhaps long ago: the primary learns it, or knows by now.
                return;
            }

            ContentOffer? offer = isEarly ? Read(early!) : stream!.Offer;
            isRight = offer is not null && HeldGrant.Is(renewal.Grant, Id, client, offer);
            if (isEarly && isRight)
            {
                early!.Grant = renewal.Grant;
            }
        }

        if (!isRight)
        {
            throw Violation($"A renewed grant for stream {renewal.KwikStreamId} is none of what was offered.");
        }

        FindFetch(streamId)?.Renew(new HeldGrant(renewal.Grant, _environment.Time));
    }

    private static ContentOffer Read(WireOffer wire) =>
        new(new ContentRoot(wire.Root.Span), (long)wire.Length, (int)wire.LeafSize);

    private void Apply(KwikStream stream, WireOffer wire)
    {
        ContentOffer offer = Read(wire);
        if (!stream.TryApplyOffer(offer))
        {
            // Not the session's end: the application of the primary made a mistake with one stream.
            stream.Abort(KwikError.MetadataProtocolViolation);
            return;
        }

        if (offer.Length > 0)
        {
            Fetch(stream, offer, new HeldGrant(wire.Grant, _environment.Time));
        }
        else if (offer.Root != EmptyRoot)
        {
            stream.Abort(new KwikException(
                KwikError.ContentMismatch, KwikErrorSide.Remote, $"Stream {stream.Id} is offered as nothing, under a root of something.", null, 0, stream.Id));
        }
    }

    private void OnLeafHashes(KwikPath path, Data.Wire.LeafHashes frame)
    {
        // Of a stream that was closed meanwhile: nobody waits for them.
        FindFetch((long)frame.KwikStreamId)?.HashesArrived(path, frame);
    }

    private ContentFetch? FindFetch(long streamId)
    {
        lock (_gate)
        {
            return _fetches.GetValueOrDefault(streamId);
        }
    }

    /// <summary>A server sent bytes that are not the content, or hashes that prove nothing. Its fetch does without it from now on.</summary>
    private void OnBadContent(KwikPath path, long streamId, KwikException fault)
    {
        ((ISecondaryStreamOwner)this).RuleBroken(path.Id, fault);
        Treat(Decide(path.Id, streamId, fault), path.Id, streamId, fault);
    }

    private void Fetch(KwikStream stream, ContentOffer offer, HeldGrant grant)
    {
        var fetch = new ContentFetch(
            stream,
            offer,
            grant,
            _options.Aggregation.MaxPendingBytes,
            _options.Delivery,
            _mappings,
            _environment.Time,
            _observer,
            () => Interlocked.Increment(ref _lastRequestId),
            OnBadContent,
            EndWhenNothingIsFetched);
        fetch.Trace();
        bool isOpen;
        lock (_gate)
        {
            // One that is being disposed has left the table, or will look for its fetch after this.
            isOpen = _streams.Find(stream.Id) is not null;
            if (isOpen)
            {
                _fetches.Add(stream.Id, fetch);
            }
        }

        if (!isOpen)
        {
            fetch.End();
            return;
        }

        foreach (KwikPath path in _paths.Alive())
        {
            fetch.AddPath(path);
        }
    }

    // QUIC ids of streams that a server opened are odd.
    private static bool IsPrimarys(ulong streamId) => (streamId & 1) == 1;

    private static KwikException Violation(string what) =>
        new(KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, what, pathId: 0);
}
