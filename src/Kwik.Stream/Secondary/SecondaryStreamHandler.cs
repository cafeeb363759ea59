using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// Reads the Internal streams that servers open and places their bytes into public streams. Nothing of an Internal
/// stream is ever shown to the application. Safe for concurrent use.
/// </summary>
internal sealed class SecondaryStreamHandler(StreamMappingManager mappings, LeasePool pool)
{
    private long _violations;

    /// <summary>Streams that were aborted because they broke a rule.</summary>
    public long Violations => Interlocked.Read(ref _violations);

    /// <summary>
    /// Handles one Internal stream, behind its header, to its end. Never throws: a stream that breaks a rule is aborted
    /// with the rule's code and counted; one that ends early goes back to whoever asked for its range.
    /// </summary>
    public async Task HandleAsync(int pathId, ITransportStream stream)
    {
        await using ITransportStream owned = stream;
        StreamMapping? mapping = null;
        KwikError outcome = KwikError.PathLost;
        try
        {
            var frames = new FrameReader(stream, pool);
            mapping = await OpenAsync(pathId, frames);
            if (mapping is null)
            {
                // Cancelled in the meantime, or for a stream that is closed: no fault of the server's.
                stream.AbortReads(KwikError.Cancelled);
                return;
            }

            mapping.Begin(stream);
            outcome = await PlaceAsync(mapping, frames);
        }
        catch (KwikException e)
        {
            stream.AbortReads(e.Code);
            outcome = e.Code;
            if (e.Side == KwikErrorSide.Remote && e.Code is not (KwikError.PathLost or KwikError.Cancelled))
            {
                Interlocked.Increment(ref _violations);
            }
        }
        finally
        {
            mapping?.Receiver.RangeEnded(mapping, outcome);
        }
    }

    private async ValueTask<StreamMapping?> OpenAsync(int pathId, FrameReader frames)
    {
        StreamFrame open = await frames.ReadFrameAsync() ?? throw Violation(pathId, "An Internal stream ended before it was opened.");
        if (open.Type != StreamFrameType.Open)
        {
            throw Violation(pathId, "An Internal stream begins with an open frame.");
        }

        if (open.RequestId < 0)
        {
            throw Conflict(pathId, open, "which nobody granted to it");
        }

        if (!mappings.TryResolve(pathId, open.RequestId, out StreamMapping? mapping))
        {
            return null;
        }

        if (open.StreamId == mapping.Stream.Id && open.Offset == mapping.Offset)
        {
            return mapping;
        }

        mapping.Receiver.RangeEnded(mapping, KwikError.StreamMappingConflict);
        throw Conflict(pathId, open, $"but request {open.RequestId} was for offset {mapping.Offset} of stream {mapping.Stream.Id}");
    }

    /// <summary>None when the whole range came, else what its server says.</summary>
    private static async ValueTask<KwikError> PlaceAsync(StreamMapping mapping, FrameReader frames)
    {
        var pieces = new List<Lease>();
        long offset = mapping.Offset;
        while (await frames.ReadFrameAsync() is { } frame)
        {
            if (frame.Type == StreamFrameType.Close)
            {
                return frame.Error == KwikError.None && offset < mapping.End ? KwikError.PathLost : frame.Error;
            }

            if (frame.Type != StreamFrameType.Data || (frame.Offset >= 0 && frame.Offset != offset)
                || frame.DataLength > mapping.End - offset)
            {
                throw new KwikException(
                    KwikError.StreamMappingConflict,
                    KwikErrorSide.Remote,
                    $"Path {mapping.PathId} left the range {mapping.Offset}..{mapping.End} of stream {mapping.Stream.Id} at {offset}.",
                    null,
                    mapping.PathId,
                    mapping.Stream.Id);
            }

            await frames.ReadPayloadAsync(frame, pieces);
            offset = mapping.Stream.Place(mapping.PathId, offset, pieces);
            mapping.Receiver.RangeReceived(mapping, frame.DataLength);
        }

        return KwikError.PathLost;
    }

    private static KwikException Violation(int pathId, string what) =>
        new(KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, what, pathId: pathId);

    private static KwikException Conflict(int pathId, StreamFrame open, string why) => new(
        KwikError.StreamMappingConflict,
        KwikErrorSide.Remote,
        $"Path {pathId} opened a stream for offset {open.Offset} of stream {open.StreamId}, {why}.",
        null,
        pathId,
        open.StreamId);
}
