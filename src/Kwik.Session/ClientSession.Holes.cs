using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

public sealed partial class ClientSession
{
    // How often streams are looked at. Finer than any of the times that are measured by it.
    private static readonly TimeSpan SweepInterval = TimeSpan.FromMilliseconds(250);

    // Bytes a second that a server delivers at least, while it owes some and we take them (protocol, "Limits").
    private const int MinimumRate = 240;

    private readonly MultiSourceOffsetManager _offsets;

    /// <summary>Looks after what takes too long: slow Internal streams, and holes that readers wait at.</summary>
    private async Task SweepAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await Task.Delay(SweepInterval, _environment.Time, cancellationToken);
            _secondaries.StopStalled(MinimumRate);
            foreach (KwikStream stream in _streams.Snapshot())
            {
                Inspect(stream);
            }
        }
    }

    private void Inspect(KwikStream stream)
    {
        HoleStep step = _offsets.Inspect(stream, out Hole hole);
        if (step == HoleStep.None)
        {
            return;
        }

        int source = _mappings.FindSource(stream.Id, hole.Offset);
        if (step == HoleStep.Synchronise)
        {
            GiveWay(stream, source);
            Synchronise(stream, source, hole);
            return;
        }

        KwikError code = step == HoleStep.Unanswered ? KwikError.OffsetSyncFailure : KwikError.AggregationTimeout;
        var fault = new KwikException(
            code,
            KwikErrorSide.Network,
            $"Bytes {hole.Offset} to {hole.End} of stream {stream.Id}, which path {source} was to send, did not come in time.",
            null,
            source,
            stream.Id);
        RecoveryAction action = Decide(source, stream.Id, fault);
        _offsets.Treated(stream.Id);
        Request(stream, source, hole, code);
        Treat(action, source, stream.Id, fault);
    }

    /// <summary>
    /// Streams that wait for room hold credit of their connection, and the piece that would make room may need it: the one
    /// that is farthest ahead is stopped, and its range asked for again.
    /// </summary>
    private void GiveWay(KwikStream stream, int pathId)
    {
        InboundSecondaryStream? farthest = _mappings.SourcesOf(stream.Id)
            .Where(source => source.Id.PathId == pathId && source.IsParked)
            .MaxBy(source => source.Offset);
        farthest?.Stop(KwikError.SecondaryStreamOverflow);
    }

    private void Synchronise(KwikStream stream, int pathId, Hole hole)
    {
        if (_paths.FindServing(pathId) is { } path)
        {
            path.Control.Send(new ControlFrame
            {
                OffsetSyncRequest = new OffsetSyncRequest
                {
                    KwikStreamId = (ulong)stream.Id,
                    CurrentOffset = (ulong)hole.Offset,
                    EndOffset = (ulong)hole.End,
                },
            });
        }
        else
        {
            _offsets.Answered(stream.Id, hole.Offset, comes: false);
        }
    }

    private void OnOffsetSync(KwikPath path, OffsetSyncResponse response)
    {
        long streamId = (long)response.KwikStreamId;
        if (streamId < 0 || response.ExpectedOffset > StreamFrame.MaxOffset || _streams.Find(streamId) is not { } stream)
        {
            return;
        }

        // What the server has handed to its transport, and has forgotten, may still be on its way to us.
        long next = MultiSourceOffsetManager.GetNextExpectedOffset(stream);
        bool isOnItsWay = _mappings.SourcesOf(streamId).Exists(source => source.Id.PathId == path.Id && source.Offset <= next);
        _offsets.Answered(streamId, next, comes: !response.SyncRequired || isOnItsWay);
    }

    /// <summary>Asks anew for a hole: of other servers when it was asked for, of the primary's application when it was pushed.</summary>
    private void Request(KwikStream stream, int source, Hole hole, KwikError error)
    {
        ContentFetch? fetch;
        lock (_gate)
        {
            _fetches.TryGetValue(stream.Id, out fetch);
        }

        if (fetch is not null)
        {
            fetch.GiveBackAt(hole.Offset);
            return;
        }

        // A grant ends as a whole, and whatever of this path still writes in it; the rest of it would never be asked for.
        (long Offset, long End) lost =
            _mappings.TryRevokeAt(source, stream.Id, hole.Offset, out (long, long) granted) ? granted : (hole.Offset, hole.End);
        foreach (InboundSecondaryStream late in _mappings.SourcesOf(stream.Id))
        {
            if (late.Id.PathId == source && late.Request is null && late.Offset < lost.End)
            {
                late.Stop(KwikError.Cancelled);
            }
        }

        ReportLost(source, stream.Id, lost.Offset, lost.End, error);
    }
}
