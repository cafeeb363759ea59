using Kwik.Data;

namespace Kwik.Streams;

internal sealed partial class SecondaryStreamHandler
{
    /// <summary>Pushed streams of one path that may wait for their public stream or for permission.</summary>
    private const int MaxWaitingPerPath = 16;

    private readonly Dictionary<SecondaryStreamId, AsyncSignal> _waiting = [];

    /// <summary>A public stream has appeared, or the primary has granted something: those who wait look again.</summary>
    public void WakeWaiting()
    {
        List<AsyncSignal> waiting;
        lock (_gate)
        {
            waiting = [.. _waiting.Values];
        }

        waiting.ForEach(signal => signal.Set());
    }

    /// <summary>The public stream that the bytes go to; null when nobody wants them any more.</summary>
    private async ValueTask<KwikStream?> OpenAsync(InboundSecondaryStream source)
    {
        StreamFrame open = await ReadOpenAsync(source);
        source.MoveTo(open.Offset);
        KwikStream? target = open.RequestId >= 0 ? ResolveRequest(source, open) : await AdmitAsync(source, open);
        if (target is null)
        {
            return null;
        }

        if (!mappings.TryMap(source, target.Id))
        {
            throw Fault(KwikError.StreamMappingConflict, source, "is mapped already");
        }

        source.Advance(SecondaryStreamInput.Opened);
        source.Request?.Begin(source);
        if (!owner.TryFindStream(target.Id, out _, out _))
        {
            // Closed since it was found, perhaps by one that did not see this mapping.
            source.Stop(KwikError.Cancelled);
        }

        return target;
    }

    private async ValueTask<StreamFrame> ReadOpenAsync(InboundSecondaryStream source)
    {
        StreamFrame? open;
        using (var timeout = new CancellationTokenSource(options.MetadataTimeout, time))
        using (timeout.Token.UnsafeRegister(static state => ((InboundSecondaryStream)state!).Stop(KwikError.Timeout), source))
        {
            open = await source.Frames.ReadFrameAsync();
        }

        return open is { Type: StreamFrameType.Open } frame
            ? frame
            : throw Fault(KwikError.MetadataProtocolViolation, source, "does not begin with an open frame");
    }

    private KwikStream? ResolveRequest(InboundSecondaryStream source, StreamFrame open)
    {
        if (!mappings.TryResolve(source.Id.PathId, open.RequestId, out StreamMapping? mapping))
        {
            return null;
        }

        source.Request = mapping;
        if (open.StreamId == mapping.Stream.Id && open.Offset == mapping.Offset)
        {
            return mapping.Stream;
        }

        // Mapped to where it was asked for, so that the range is asked for again.
        mappings.TryMap(source, mapping.Stream.Id);
        throw Fault(
            KwikError.ContentMismatch,
            source,
            $"was opened for offset {open.Offset} of stream {open.StreamId}, but request {open.RequestId} was for offset "
                + $"{mapping.Offset} of stream {mapping.Stream.Id}");
    }

    /// <summary>
    /// Waits until the public stream is here and the primary has granted the offset. Asks the primary meanwhile, each time
    /// after twice as long.
    /// </summary>
    private async ValueTask<KwikStream?> AdmitAsync(InboundSecondaryStream source, StreamFrame open)
    {
        if (IsAdmitted(source, open, out KwikStream? target))
        {
            return target;
        }

        var changed = new AsyncSignal();
        AddWaiting(source, changed);
        try
        {
            TimeSpan wait = options.MappingTryTimeout;
            for (int attempt = 0; attempt <= options.MappingRetries; attempt++, wait *= 2)
            {
                if (attempt > 0)
                {
                    owner.AskForMapping(source.Id.PathId, open.StreamId, open.Offset);
                }

                using var timeout = new CancellationTokenSource(wait, time);
                using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, source.Stopped);
                while (!either.IsCancellationRequested)
                {
                    if (IsAdmitted(source, open, out target))
                    {
                        return target;
                    }

                    await WaitAsync(changed, either.Token);
                }

                source.Stopped.ThrowIfCancellationRequested();
            }
        }
        finally
        {
            lock (_gate)
            {
                _waiting.Remove(source.Id);
            }
        }

        if (target?.Offer is null)
        {
            ThrowIfRevoked(source, open.StreamId, open.Offset, open.Offset + 1);
        }

        throw Fault(
            KwikError.StreamMappingConflict, source, $"writes at offset {open.Offset} of stream {open.StreamId}, which nobody granted to it");
    }

    private static async ValueTask WaitAsync(AsyncSignal changed, CancellationToken cancellationToken)
    {
        try
        {
            await changed.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // The caller looks at its token.
        }
    }

    /// <summary>True when it is known what becomes of the stream: <paramref name="target"/>, or null when that one was closed.</summary>
    private bool IsAdmitted(InboundSecondaryStream source, StreamFrame open, out KwikStream? target)
    {
        if (!owner.TryFindStream(open.StreamId, out target, out bool wasClosed))
        {
            return wasClosed;
        }

        return MayWrite(source, target, open.Offset, open.Offset + 1);
    }

    /// <summary>The rule for pushed bytes. What is offered is asked for and never pushed.</summary>
    private bool MayWrite(InboundSecondaryStream source, KwikStream target, long offset, long end) =>
        target.Offer is null && (source.Id.PathId == 0 || mappings.IsGranted(source.Id.PathId, target.Id, offset, end));

    private void AddWaiting(InboundSecondaryStream source, AsyncSignal changed)
    {
        lock (_gate)
        {
            if (_waiting.Keys.Count(id => id.PathId == source.Id.PathId) < MaxWaitingPerPath)
            {
                _waiting.Add(source.Id, changed);
                return;
            }
        }

        throw Fault(KwikError.SecondaryStreamOverflow, source, $"is one more than {MaxWaitingPerPath} that wait for their mapping");
    }

    private async ValueTask PlaceAsync(InboundSecondaryStream source, KwikStream target)
    {
        var pieces = new List<Lease>();
        long offset = source.Offset;
        while (await source.Frames.ReadFrameAsync() is { } frame)
        {
            if (frame.Type == StreamFrameType.Close)
            {
                await CloseAsync(source, frame, offset);
                return;
            }

            offset = CheckPosition(source, target, frame, offset);
            if (!await TryReadPayloadAsync(source, target, frame, offset, pieces))
            {
                offset += frame.DataLength;
                source.MoveTo(offset);
                continue;
            }

            owner.BytesArrived(source, frame.DataLength);
            if (source.Request is { } request)
            {
                request.Receiver.Receive(offset, pieces);
                offset += frame.DataLength;
            }
            else
            {
                offset = await PlacePiecesAsync(source, target, offset, pieces);
            }

            source.CountPlaced(offset, frame.DataLength);
        }

        KwikException fault = Fault(KwikError.MetadataProtocolViolation, source, "ended without a close frame");
        if (Decide(source, fault) != RecoveryAction.UseDefaults)
        {
            throw fault;
        }

        source.Outcome = IsShort(source, offset) ? KwikError.PathLost : KwikError.None;
        source.Advance(SecondaryStreamInput.Ended);
    }

    private async ValueTask<long> PlacePiecesAsync(InboundSecondaryStream source, KwikStream target, long offset, List<Lease> pieces)
    {
        source.Park(true);
        try
        {
            offset = await target.PlaceAsync(source.Id.PathId, offset, pieces, options.AggregationBatchSize, source.Stopped);
        }
        catch (KwikException e) when (e.Code == KwikError.StreamMappingConflict)
        {
            source.ContradictsAnother = true;
            throw;
        }

        source.Park(false);
        return offset;
    }

    private static async ValueTask CloseAsync(InboundSecondaryStream source, StreamFrame close, long offset)
    {
        if (close.Error == KwikError.None && IsShort(source, offset))
        {
            throw Fault(KwikError.ContentMismatch, source, $"ends at offset {offset} as if that were all of what was asked for");
        }

        source.Outcome = close.Error;
        source.Advance(SecondaryStreamInput.Ended);
        if (await source.Frames.ReadFrameAsync() is not null)
        {
            throw Fault(KwikError.MetadataProtocolViolation, source, "goes on after its close frame");
        }
    }

    private static bool IsShort(InboundSecondaryStream source, long offset) => offset < source.Request?.End;

    /// <summary>Where the payload of this frame belongs, if its sender may write there.</summary>
    private long CheckPosition(InboundSecondaryStream source, KwikStream target, StreamFrame frame, long offset)
    {
        if (frame.Type != StreamFrameType.Data)
        {
            throw Fault(KwikError.MetadataProtocolViolation, source, "is opened twice");
        }

        long start = frame.Offset < 0 ? offset : frame.Offset;
        bool mayWrite = source.Request is { } request
            ? start == offset && frame.DataLength <= request.End - start
            : start <= StreamFrame.MaxOffset - frame.DataLength && MayWrite(source, target, start, start + frame.DataLength);
        if (!mayWrite && source.Request is null && target.Offer is null)
        {
            ThrowIfRevoked(source, target.Id, start, start + frame.DataLength);
        }

        return mayWrite
            ? start
            : throw Fault(
                source.Request is null ? KwikError.StreamMappingConflict : KwikError.ContentMismatch,
                source,
                $"sends {frame.DataLength} bytes for offset {start} of stream {target.Id}, which it was neither asked for nor granted");
    }

    /// <summary>Ends a stream whose range was taken back, and that has not heard of it: no fault of its server's.</summary>
    private void ThrowIfRevoked(InboundSecondaryStream source, long streamId, long offset, long end)
    {
        if (mappings.WasGranted(source.Id.PathId, streamId, offset, end))
        {
            source.Stop(KwikError.Cancelled);
            source.Stopped.ThrowIfCancellationRequested();
        }
    }

    /// <summary>
    /// Reads a payload; what is pushed, once it fits the window: until then it stays with QUIC, which holds its sender back.
    /// False when it is corrupt and to be ignored.
    /// </summary>
    private async ValueTask<bool> TryReadPayloadAsync(
        InboundSecondaryStream source, KwikStream target, StreamFrame frame, long offset, List<Lease> pieces)
    {
        if (source.Request is null)
        {
            source.Park(true);
            await target.Incoming.WaitForWindowAsync(offset, frame.DataLength, source.Stopped);
            source.Park(false);
        }

        try
        {
            await source.Frames.ReadPayloadAsync(frame, pieces);
            return true;
        }
        catch (KwikException e) when (e.Code == KwikError.Checksum)
        {
            if (Decide(source, e) != RecoveryAction.IgnoreCorrupted)
            {
                throw;
            }

            source.HasDropped = true;
            return false;
        }
    }
}
