using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// Reads the Internal streams that servers open and places their bytes into public streams. Nothing of an Internal
/// stream is ever shown to the application. Safe for concurrent use.
/// </summary>
/// <remarks>
/// A stream that breaks a rule is aborted with the rule's code, counted, and, when bytes were expected of it, treated as
/// <see cref="RecoveryOptions.Rules"/> says. One that ends early goes back to whoever asked for its range.
/// </remarks>
internal sealed partial class SecondaryStreamHandler(
    ISecondaryStreamOwner owner, StreamMappingManager mappings, SecondaryStreamOptions options, TimeProvider time, LeasePool pool)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<SecondaryStreamId, InboundSecondaryStream> _open = [];
    private readonly Dictionary<int, long> _received = [];
    private readonly Dictionary<int, long> _placed = [];
    private readonly Dictionary<int, TaskCompletionSource> _draining = [];
    private long _violations;

    /// <summary>Streams that were aborted because they broke a rule.</summary>
    public long Violations => Interlocked.Read(ref _violations);

    /// <summary>Handles one Internal stream, behind its header, to its end. Never throws for what a server does.</summary>
    public async Task HandleAsync(int pathId, ITransportStream stream)
    {
        await using ITransportStream owned = stream;
        var source = new InboundSecondaryStream(pathId, stream, new FrameReader(stream, pool, options.BufferSize), time);
        if (!TryAdd(source))
        {
            stream.AbortReads(KwikError.SecondaryStreamOverflow);
            BreakRule(pathId, Fault(KwikError.SecondaryStreamOverflow, source, "has more streams open than MaxStreamsPerPath"));
            return;
        }

        KwikException? fault = null;
        RecoveryAction? action = null;
        try
        {
            if (await OpenAsync(source) is { } target)
            {
                await PlaceAsync(source, target);
            }
            else
            {
                // Cancelled in the meantime, or for a stream that is closed: no fault of the server's.
                stream.AbortReads(KwikError.Cancelled);
            }
        }
        catch (OperationCanceledException) when (source.Stopped.IsCancellationRequested)
        {
            // By us, while the stream was parked; the code is in StopCode.
            fault = Stopped(source);
        }
        catch (KwikException) when (source.StopCode is not null and not KwikError.Timeout)
        {
            // Whatever it has run into since: whoever closes a public stream takes its grants back, too.
            fault = Stopped(source);
        }
        catch (KwikException e)
        {
            fault = e;
            stream.AbortReads(e.Code);
            action = Judge(source, e);
        }
        finally
        {
            source.Advance(fault is null ? SecondaryStreamInput.Finished : SecondaryStreamInput.Failed);
            if (mappings.Unmap(source))
            {
                owner.StreamEnded(source, fault is null ? null : Locate(fault, source), action);
            }

            Remove(source);
        }
    }

    /// <summary>Ends one Internal stream.</summary>
    public bool CloseStream(SecondaryStreamId id, KwikError code)
    {
        InboundSecondaryStream? source;
        lock (_gate)
        {
            _open.TryGetValue(id, out source);
        }

        source?.Stop(code);
        return source is not null;
    }

    /// <summary>The connection of a path has ended: its streams are, too, also those that wait for room or for permission.</summary>
    public void ClosePath(int pathId, KwikError code)
    {
        List<InboundSecondaryStream> ended;
        lock (_gate)
        {
            ended = [.. _open.Values.Where(source => source.Id.PathId == pathId)];
        }

        ended.ForEach(source => source.Stop(code));
    }

    /// <summary>
    /// The public stream is closed, and its owner does not find it any more: its Internal streams are stopped, and nothing
    /// is granted in it. False when nothing was.
    /// </summary>
    public bool CloseTarget(long streamId)
    {
        // Before their grants end, so that none looks as if it wrote where it may not.
        mappings.SourcesOf(streamId).ForEach(source => source.Stop(KwikError.Cancelled));
        bool hadGrants = mappings.RemoveStream(streamId);
        WakeWaiting();
        return hadGrants;
    }

    /// <summary>Ends when nothing that is pushed on this path is open any more.</summary>
    public Task DrainAsync(int pathId)
    {
        TaskCompletionSource? drained;
        lock (_gate)
        {
            if (!HasPushedLocked(pathId))
            {
                return Task.CompletedTask;
            }

            if (!_draining.TryGetValue(pathId, out drained))
            {
                _draining[pathId] = drained = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }
        }

        return Background.WaitFor(drained);
    }

    /// <summary>Stops streams that are too slow: <see cref="SecondaryStreamOptions.StreamTimeout"/>.</summary>
    public void StopStalled(int minimumRate)
    {
        foreach (InboundSecondaryStream source in mappings.Mapped())
        {
            if (source.IsStalled(options.StreamTimeout, minimumRate))
            {
                source.Stop(KwikError.Timeout);
            }
        }
    }

    /// <summary>True when this path may open no more streams, until others end.</summary>
    public bool IsFull(int pathId)
    {
        lock (_gate)
        {
            return CountLocked(pathId) >= options.MaxStreamsPerPath;
        }
    }

    /// <summary>The Internal streams of one path, in numbers.</summary>
    public SecondaryStreamStats GetStats(int pathId)
    {
        lock (_gate)
        {
            List<InboundSecondaryStream> streams = [.. _open.Values.Where(source => source.Id.PathId == pathId)];
            long received = _received.GetValueOrDefault(pathId) + streams.Sum(source => source.Frames.PayloadRead);
            long placed = _placed.GetValueOrDefault(pathId) + streams.Sum(source => source.Snapshot().BytesTransferred);
            int mapped = streams.Count(source => source.State is SecondaryStreamState.Active or SecondaryStreamState.Closing);
            return new(streams.Count, mapped, streams.Count - mapped, received, received == 0 ? 1 : (double)placed / received);
        }
    }

    private bool TryAdd(InboundSecondaryStream source)
    {
        lock (_gate)
        {
            if (CountLocked(source.Id.PathId) >= options.MaxStreamsPerPath)
            {
                return false;
            }

            _open.Add(source.Id, source);
            return true;
        }
    }

    private int CountLocked(int pathId) => _open.Keys.Count(id => id.PathId == pathId);

    private bool HasPushedLocked(int pathId) => _open.Values.Any(source => source.Id.PathId == pathId && source.Request is null);

    private void Remove(InboundSecondaryStream source)
    {
        TaskCompletionSource? drained = null;
        lock (_gate)
        {
            _open.Remove(source.Id);
            int path = source.Id.PathId;
            _received[path] = _received.GetValueOrDefault(path) + source.Frames.PayloadRead;
            _placed[path] = _placed.GetValueOrDefault(path) + source.Snapshot().BytesTransferred;
            if (!HasPushedLocked(path))
            {
                _draining.Remove(path, out drained);
            }
        }

        drained?.TrySetResult();
    }

    /// <summary>Counts what a server did wrong, and asks what is to be done when bytes were expected of this stream.</summary>
    private RecoveryAction? Judge(InboundSecondaryStream source, KwikException fault)
    {
        if (source.ContradictsAnother)
        {
            // Which of the two is wrong nobody knows: nothing to count, and no other server to ask.
            return RecoveryAction.CloseStream;
        }

        // The transport's word is the server's own, or the connection's end, or the echo of our stop.
        bool isOurFinding = fault != source.Frames.TransportFault;
        // What is pushed may come whenever its sender likes; it only does not keep its place for ever.
        bool isTooSlow = source.StopCode == KwikError.Timeout && (source.Request is not null || source.StreamId < 0);
        if ((isOurFinding && fault.Side == KwikErrorSide.Remote) || (isTooSlow && source.StreamId < 0))
        {
            BreakRule(source.Id.PathId, fault);
        }

        return (isOurFinding || isTooSlow) && source.StreamId >= 0 ? Treat(source, fault) : null;
    }

    /// <summary>What we stop breaks no rule.</summary>
    private static KwikException Stopped(InboundSecondaryStream source) =>
        Fault(source.StopCode ?? KwikError.Cancelled, source, "was stopped by this side");

    private RecoveryAction Treat(InboundSecondaryStream source, KwikException fault)
    {
        // An end without a close frame is the only fault that has a default, and with one it does not come here.
        RecoveryAction action = Decide(source, fault);
        return action == RecoveryAction.UseDefaults ? RecoveryAction.RequestResend : action;
    }

    /// <summary>Asks once for each fault, because each answer counts.</summary>
    private RecoveryAction Decide(InboundSecondaryStream source, KwikException fault)
    {
        if (source.Decision?.Fault != fault)
        {
            source.Decision = (fault, owner.Decide(source, fault));
        }

        return source.Decision.Value.Action;
    }

    private void BreakRule(int pathId, KwikException fault)
    {
        Interlocked.Increment(ref _violations);
        owner.RuleBroken(pathId, fault);
    }

    /// <summary>The frame reader does not know whose stream it reads.</summary>
    private static KwikException Locate(KwikException fault, InboundSecondaryStream source) =>
        fault.PathId is null || fault.StreamId is null
            ? new(fault.Code, fault.Side, fault.Message, fault, source.Id.PathId, source.StreamId)
            : fault;

    private static KwikException Fault(KwikError code, InboundSecondaryStream source, string what) => new(
        code,
        KwikErrorSide.Remote,
        $"Internal stream {source.Id.StreamId} of path {source.Id.PathId} {what}.",
        null,
        source.Id.PathId,
        source.StreamId >= 0 ? source.StreamId : null);
}
