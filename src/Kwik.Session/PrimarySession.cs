using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;
using ContentOffer = Kwik.Data.ContentOffer;
using WireOffer = Kwik.Data.Wire.ContentOffer;

namespace Kwik.Sessions;

/// <summary>
/// A client on its primary server, which opens and accepts public streams, offers content, and names secondary servers.
/// </summary>
public sealed partial class PrimarySession : ServerSession, IStreamOwner
{
    private readonly PrimaryKey _signingKey;
    private readonly PublicStreams _streams;
    private readonly MessagePace _messagePace;
    private readonly Lock _gate = new();
    private readonly OpenOffers _offers;
    private KwikException? _ended;

    internal PrimarySession(ServerLink link, Guid id, PrimaryKey signingKey)
        : base(link, id)
    {
        _signingKey = signingKey;
        _offers = new OpenOffers(link.Environment.Time);
        _messagePace = new MessagePace(link.Environment.Time, link.Options.MessageRate);
        _paths = new AnnouncedPaths(link.Environment.Time, EventQueue);
        _streams = new PublicStreams(link.Connection, this, link.Options.Aggregation, link.Environment.Pool, new PendingBudget(link.Options.MaxPendingBytes), link.Options.MaxPublicStreams)
        {
            Opened = stream => Observer?.Qlog?.StreamOpened(stream),
        };
    }

    Action<long, int, long, long>? IStreamOwner.Placed => Observer?.Qlog is { } qlog ? qlog.Placed : null;

    bool IStreamOwner.HasOneSource => true;

    TimeProvider IStreamOwner.Time => Link.Environment.Time;

    MessagePace? IStreamOwner.MessagePace => _messagePace;

    /// <summary>Opens a public stream to the client, waiting while its limit is reached.</summary>
    /// <exception cref="KwikException">The session has ended.</exception>
    public Task<KwikStream> OpenStreamSync(CancellationToken cancellationToken = default) => _streams.OpenAsync(cancellationToken);

    /// <summary>The next public stream that the client opened.</summary>
    /// <exception cref="KwikException">The session has ended.</exception>
    public Task<KwikStream> AcceptStream(CancellationToken cancellationToken = default) => _streams.AcceptAsync(cancellationToken);

    /// <summary>
    /// For a stream that a content is about to be offered on: what becomes of it. Ends when the client has closed the stream or
    /// the session has ended; cancelled when this side closes the stream without an offer.
    /// </summary>
    public Task<ContentClosed> ExpectContentAsync(KwikStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Contents.Expect(stream.Id);
    }

    ValueTask IStreamOwner.OfferAsync(KwikStream stream, ContentOffer offer, CancellationToken cancellationToken)
    {
        lock (_gate)
        {
            if (_ended is not null)
            {
                throw Ended(_ended);
            }

            _offers.Add(stream.Id, offer);
        }

        Contents.Begin(stream.Id, offer.Root, asked: false);
        Link.Control.Send(new ControlFrame
        {
            ContentOffer = new WireOffer
            {
                KwikStreamId = (ulong)stream.Id,
                Root = ByteString.CopyFrom(offer.Root.ToByteArray()),
                Length = (ulong)offer.Length,
                LeafSize = (uint)offer.LeafSize,
                Grant = SignGrant(offer),
            },
        });
        return ValueTask.CompletedTask;
    }

    Task<SecondaryStream> IStreamOwner.OpenSecondaryAsync(CancellationToken cancellationToken) => Pushed.OpenAsync(cancellationToken);

    void IStreamOwner.StreamClosed(KwikStream stream)
    {
        Observer?.Qlog?.StreamClosed(stream);
        _streams.Remove(stream);
        Contents.CloseUnused(stream.Id);
        // The client's StreamClosed: the limit of public streams bounds these.
        Budget.GiveBack();
    }

    private protected override SessionCounts CountStreams() => _streams.Count();

    private protected override IReadOnlyList<StreamSample> SampleStreams() => _streams.Sample();

    private protected override bool Admits(ContentAccess access)
    {
        return _offers.Find((long)access.StreamId) is { } offer
            && offer.Root == access.Root
            && access.End <= (ulong)offer.Length;
    }

    private protected override KwikError Dispatch(StreamHeader header, ITransportStream stream)
    {
        if (header.Type is not (StreamType.Main or StreamType.Error) || !stream.CanWrite)
        {
            return KwikError.InvalidStreamRole;
        }

        KwikError refused = _streams.AddInbound(header, stream, out KwikStream? accepted);
        if (accepted is not null)
        {
            _streams.Announce(accepted);
        }

        return refused;
    }

    private protected override IEnumerable<Func<CancellationToken, Task>> Loops(Action ruleBroken) =>
        [stopping => _streams.SweepPairsAsync(ruleBroken, stopping), stopping => _offers.RenewAsync(RenewGrant, stopping)];

    private protected override void OnControl(ControlFrame frame)
    {
        if (TryTakePathFrame(frame))
        {
            return;
        }

        switch (frame.BodyCase)
        {
            case ControlFrame.BodyOneofCase.MappingUpdate:
                OnMappingQuestion(frame.MappingUpdate);
                break;
            case ControlFrame.BodyOneofCase.RangeLost:
                OnRangeLost(frame.RangeLost);
                break;
            case ControlFrame.BodyOneofCase.StreamClosed:
                _offers.Remove((long)frame.StreamClosed.KwikStreamId);
                lock (_gate)
                {
                    _grants.RemoveStream((long)frame.StreamClosed.KwikStreamId);
                }

                Contents.Close((long)frame.StreamClosed.KwikStreamId);
                break;
        }
    }

    private void RenewGrant(long streamId, ContentOffer offer) => Link.Control.Send(new ControlFrame
    {
        GrantRenewal = new GrantRenewal { KwikStreamId = (ulong)streamId, Grant = SignGrant(offer) },
    });

    private ByteString SignGrant(ContentOffer offer) => ByteString.CopyFrom(_signingKey.Sign(new Statement
    {
        Grant = new Grant
        {
            SessionId = ByteString.CopyFrom(Id.ToByteArray(bigEndian: true)),
            ClientKey = ByteString.CopyFrom(ClientKey.Bytes),
            Root = ByteString.CopyFrom(offer.Root.ToByteArray()),
            Length = (ulong)offer.Length,
            Expires = (Link.Environment.Time.GetUtcNow() + StatementVerifier.Lifetime).ToUnixTimeSeconds(),
        },
    }));

    private protected override void OnEnding(KwikException reason)
    {
        lock (_gate)
        {
            _ended = reason;
        }

        _paths.End(Ended(reason));
        _streams.Fail(Ended(reason));
    }

    private protected override Task CloseStreamsAsync() => _streams.CloseAsync();

    private protected override Task DrainAsync() => _streams.DrainAsync();
}
