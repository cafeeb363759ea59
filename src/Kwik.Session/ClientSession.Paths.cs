using System.Net;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

public sealed partial class ClientSession
{
    /// <summary>Serves a path until it has ended.</summary>
    private Task RunPathAsync(KwikPath path)
    {
        path.HasRoomAgain = PumpAll;
        var inbound = new InboundStreams(path.Connection, _environment.Time, (header, stream) => Dispatch(path, header, stream));
        return ConnectionLoops.RunAsync(
            path.Connection,
            [
                _ => ReceiveControlAsync(path),
                inbound.RunAsync,
                path.BeatAsync,
                path.AwaitIsolationAsync,
                .. path.Role == ServerRole.Primary ? [SweepAsync] : Array.Empty<Func<CancellationToken, Task>>(),
            ],
            reason => OnPathEnded(path, reason),
            _stopping.Token);
    }

    /// <summary>What a lost server owed is asked of the others, before anything waits for its connection to close.</summary>
    private void OnPathEnded(KwikPath path, KwikException reason)
    {
        path.End(reason.Code == KwikError.None ? PathState.Removed : PathState.Dead, reason);
        SessionLog.PathEnded(_log, path.Id, path.Connection.RemoteEndPoint, reason.Code, reason.Message);
        if (path.Role == ServerRole.Primary)
        {
            OnPrimaryEnded(reason);
            return;
        }

        LosePath(path.Id, KwikError.PathLost);
        foreach (ContentFetch fetch in Fetches())
        {
            fetch.RemovePath(path.Id, new KwikException(KwikError.PathLost, reason.Side, reason.Message, reason, path.Id));
        }
    }

    /// <summary>Only the primary opens public streams here; a server's Internal streams stay inside.</summary>
    private KwikError Dispatch(KwikPath path, StreamHeader header, ITransportStream stream)
    {
        switch (header.Type)
        {
            case StreamType.Internal when !stream.CanWrite:
                _ = Background.Start(() => _secondaries.HandleAsync(path.Id, stream));
                return KwikError.None;
            case StreamType.Main when path.Role == ServerRole.Primary && stream.CanWrite:
                KwikStream accepted = _streams.AddInbound(stream);
                OnAccepted(accepted);
                _secondaries.WakeWaiting();
                _streams.Announce(accepted);
                return KwikError.None;
            default:
                return path.Role == ServerRole.Primary ? KwikError.InvalidStreamRole : KwikError.SecondaryStreamIsolation;
        }
    }

    private async Task ReceiveControlAsync(KwikPath path)
    {
        while (await path.Control.ReceiveAsync() is { } frame)
        {
            path.Heard(frame.HeartbeatAck);
            switch (frame.BodyCase)
            {
                case ControlFrame.BodyOneofCase.Heartbeat:
                    path.Control.Send(
                        new ControlFrame { HeartbeatAck = new HeartbeatAck { Sequence = frame.Heartbeat.Sequence } }, urgent: true);
                    break;
                case ControlFrame.BodyOneofCase.RangeRefused:
                    OnRangeRefused(path, frame.RangeRefused);
                    break;
                case ControlFrame.BodyOneofCase.SessionClose:
                    return;
                case ControlFrame.BodyOneofCase.AddPath when path.Role == ServerRole.Primary:
                    _paths.Track(Background.Start(() => AddPathAsync(frame.AddPath)));
                    break;
                case ControlFrame.BodyOneofCase.ContentOffer when path.Role == ServerRole.Primary:
                    OnOffer(frame.ContentOffer);
                    break;
                case ControlFrame.BodyOneofCase.MappingUpdate when path.Role == ServerRole.Primary:
                    OnMappingUpdate(frame.MappingUpdate);
                    break;
                case ControlFrame.BodyOneofCase.OffsetSyncResponse:
                    OnOffsetSync(path, frame.OffsetSyncResponse);
                    break;
                case ControlFrame.BodyOneofCase.AddPath or ControlFrame.BodyOneofCase.ContentOffer
                    or ControlFrame.BodyOneofCase.MappingUpdate:
                    throw new KwikException(
                        KwikError.SecondaryStreamIsolation,
                        KwikErrorSide.Remote,
                        $"Path {path.Id} sent {frame.BodyCase}, which only the primary may.",
                        null,
                        path.Id);
            }
        }
    }

    /// <summary>Connects to a server that the primary named, serves the path, and tells the primary what became of it.</summary>
    private async Task AddPathAsync(AddPath request)
    {
        var answer = new PathAdded { PathId = request.PathId };
        KwikPath path;
        try
        {
            path = await _paths.ConnectAsync(request, _primary.Connection.RemoteEndPoint.Address, _stopping.Token);
        }
        catch (KwikException e)
        {
            SessionLog.PathRefused(_log, (int)request.PathId, request.Host, (int)request.Port, e.Code, e.Message);
            answer.ErrorCode = (ulong)e.Code;
            _primary.Control.Send(new ControlFrame { PathAdded = answer });
            return;
        }
        catch (OperationCanceledException)
        {
            return;
        }

        SessionLog.PathActive(_log, path.Id, path.Connection.RemoteEndPoint);
        _primary.Control.Send(new ControlFrame { PathAdded = answer });
        Task running = RunPathAsync(path);
        foreach (ContentFetch fetch in Fetches())
        {
            fetch.AddPath(path);
        }

        await running;
    }

    private void OnRangeRefused(KwikPath path, RangeRefused refused)
    {
        // Each request names its stream in the mapping; one that is not expected was cancelled, or answered.
        if (_mappings.TryResolve(path.Id, (long)refused.RequestId, out StreamMapping? mapping)
            && mapping.Receiver is ContentFetch fetch)
        {
            fetch.Refused(path.Id, QuicErrors.FromWire((long)refused.ErrorCode));
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
