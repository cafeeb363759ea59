using System.Net;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

public sealed partial class ClientSession
{
    /// <summary>Serves a path until it has ended.</summary>
    private async Task RunPathAsync(PathEntry entry, KwikPath path)
    {
        path.HasRoomAgain = PumpAll;
        path.Noticed = input => _paths.TryAdvance(entry, input, path);
        var inbound = new InboundStreams(path.Connection, _environment.Time, (header, stream) => Dispatch(path, header, stream));
        path.Inbound = inbound;
        path.Budget = FrameBudget.OfPeer(_environment.Time, path.Role == ServerRole.Primary ? _options.MaxPublicStreams : 0);
        List<Func<CancellationToken, Task>> loops =
            [_ => ReceiveControlAsync(path), inbound.RunAsync, path.BeatAsync, path.AwaitIsolationAsync];
        if (path.Role == ServerRole.Primary)
        {
            path.Beaten = OnPrimaryBeat;
            loops.Add(ReportPathsAsync);
            loops.Add(stopping => _streams.SweepPairsAsync(() => inbound.CountViolation(), stopping));
        }

        await ConnectionLoops.RunAsync(
            path.Connection, path.Control, loops, reason => OnPathEnded(entry, path, reason), entry.Stop.Token);
        await inbound.JoinAsync();
    }

    /// <summary>What a lost server owed is asked of the others, before anything waits for its connection to close.</summary>
    private void OnPathEnded(PathEntry entry, KwikPath path, KwikException reason)
    {
        reason = path.Goodbye ?? reason;
        path.End(reason);
        bool isLost = path.Role == ServerRole.Primary ? reason.Code != KwikError.None : MayComeBack(entry, path, reason);
        _paths.TryAdvance(entry, isLost ? PathInput.Lost : PathInput.Remove, path);
        SessionLog.PathEnded(_log, path.Id, path.Connection.RemoteEndPoint, reason.Code, reason.Message);
        _observer.PathEnded(path, reason);

        // A path comes back when all of its streams have ended, and one that waits for its reader does not notice by itself.
        _secondaries.ClosePath(path.Id, path.Role == ServerRole.Primary ? KwikError.PrimaryLost : KwikError.PathLost);
        if (path.Role == ServerRole.Primary)
        {
            OnPrimaryEnded(reason);
            return;
        }

        if (!entry.IsLeaving)
        {
            TellStreams(path, reason);
        }

        LosePath(path.Id, KwikError.PathLost);
        foreach (ContentFetch fetch in Fetches())
        {
            fetch.RemovePath(path.Id, new KwikException(KwikError.PathLost, reason.Side, reason.Message, reason, path.Id), only: path);
        }
    }

    /// <summary>Those that the path filled have lost it, for a while or for good.</summary>
    private void TellStreams(KwikPath path, KwikException reason)
    {
        HashSet<long> granted = _mappings.StreamsOf(path.Id);
        foreach (KwikStream stream in _streams.Snapshot())
        {
            bool isFilled = stream.Offer is not null || granted.Contains(stream.Id) || stream.Incoming.SourceOffset(path.Id) >= 0;
            if (!isFilled)
            {
                continue;
            }

            if (path.IsIsolated)
            {
                stream.Raise(new SourceIsolated(path.Id, reason.Code, reason.Message));
            }
            else
            {
                stream.OnPathLost(path.Id, reason.Code == KwikError.None ? KwikError.PathLost : reason.Code);
            }
        }
    }

    /// <summary>Only the primary opens public streams here; a server's Internal streams stay inside.</summary>
    private KwikError Dispatch(KwikPath path, StreamHeader header, ITransportStream stream)
    {
        switch (header.Type)
        {
            case StreamType.Internal when !stream.CanWrite:
                path.Inbound!.Serve(() => _secondaries.HandleAsync(path.Id, stream));
                return KwikError.None;
            case StreamType.Main or StreamType.Error when path.Role == ServerRole.Primary && stream.CanWrite:
                KwikError refused = _streams.AddInbound(header, stream, out KwikStream? accepted);
                if (accepted is not null)
                {
                    OnAccepted(accepted);
                    _secondaries.WakeWaiting();
                    _streams.Announce(accepted);
                }

                return refused;
            default:
                return path.Role == ServerRole.Primary ? KwikError.InvalidStreamRole : KwikError.SecondaryStreamIsolation;
        }
    }

    private async Task ReceiveControlAsync(KwikPath path)
    {
        while (await path.Control.ReceiveAsync() is { } frame)
        {
            path.Heard(frame.HeartbeatAck);
            if (!path.Budget!.TryTake())
            {
                throw new KwikException(
                    KwikError.LimitExceeded,
                    KwikErrorSide.Remote,
                    $"Path {path.Id} sent more than {FrameBudget.FramesPerSecond} control frames a second.",
                    null,
                    path.Id);
            }

            if (TryTakeRawData(path, frame) || (path.Role == ServerRole.Primary && TryTakePathFrame(frame)))
            {
                continue;
            }

            switch (frame.BodyCase)
            {
                case ControlFrame.BodyOneofCase.Heartbeat:
                    path.Control.Send(
                        new ControlFrame { HeartbeatAck = new HeartbeatAck { Sequence = frame.Heartbeat.Sequence } }, urgent: true);
                    break;
                case ControlFrame.BodyOneofCase.RangeRefused:
                    OnRangeRefused(path, frame.RangeRefused);
                    break;
                case ControlFrame.BodyOneofCase.LeafHashes:
                    OnLeafHashes(path, frame.LeafHashes);
                    break;
                case ControlFrame.BodyOneofCase.SessionClose:
                    path.Goodbye = SessionGoodbye.Read(frame.SessionClose, path.Id);
                    if (path.Role == ServerRole.Secondary)
                    {
                        // What it pushed may be here and not read yet; closing the connection would discard it.
                        path.Retire();
                        await DrainAsync(path, $"Path {path.Id} said goodbye.");
                    }
                    else
                    {
                        await _streams.DrainAsync();
                    }

                    return;
                case ControlFrame.BodyOneofCase.ContentOffer when path.Role == ServerRole.Primary:
                    OnOffer(frame.ContentOffer);
                    break;
                case ControlFrame.BodyOneofCase.GrantRenewal when path.Role == ServerRole.Primary:
                    OnGrantRenewal(frame.GrantRenewal);
                    break;
                case ControlFrame.BodyOneofCase.MappingUpdate when path.Role == ServerRole.Primary:
                    OnMappingUpdate(frame.MappingUpdate);
                    break;
                case ControlFrame.BodyOneofCase.OffsetSyncResponse:
                    OnOffsetSync(path, frame.OffsetSyncResponse);
                    break;
                case ControlFrame.BodyOneofCase.AddPath or ControlFrame.BodyOneofCase.RemovePath
                    or ControlFrame.BodyOneofCase.Token or ControlFrame.BodyOneofCase.ContentOffer
                    or ControlFrame.BodyOneofCase.GrantRenewal or ControlFrame.BodyOneofCase.MappingUpdate:
                    throw new KwikException(
                        KwikError.SecondaryStreamIsolation,
                        KwikErrorSide.Remote,
                        $"Path {path.Id} sent {frame.BodyCase}, which only the primary may.",
                        null,
                        path.Id);
            }
        }
    }

    private void OnRangeRefused(KwikPath path, RangeRefused refused)
    {
        // Each request names its stream in the mapping; one that is not expected was cancelled, or answered.
        if (_mappings.TryResolve(path.Id, (long)refused.RequestId, out StreamMapping? mapping)
            && mapping.Receiver is RangeAnswer answer)
        {
            answer.Refused(QuicErrors.FromWire((long)refused.ErrorCode));
        }
    }

    private void PumpAll()
    {
        foreach (ContentFetch fetch in Fetches())
        {
            fetch.Pump();
        }
    }

    private List<ContentFetch> Fetches()
    {
        lock (_gate)
        {
            return [.. _fetches.Values];
        }
    }
}
