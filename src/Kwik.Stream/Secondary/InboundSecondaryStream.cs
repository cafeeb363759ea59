using System.Diagnostics.CodeAnalysis;
using Kwik.Data;

namespace Kwik.Streams;

/// <summary>An Internal stream on the client that receives it. Read by one task; looked at and stopped from anywhere.</summary>
[SuppressMessage("Design", "CA1001", Justification = "The source has no timer and no wait handle, and Stop may come when the stream has long ended.")]
internal sealed class InboundSecondaryStream
{
    private readonly ITransportStream _stream;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stopped = new();
    private readonly Lock _gate = new();
    private readonly DateTimeOffset _createdAt;
    private long _lastActivity;

    // When the clock of IsStalled began, and the bytes read before.
    private long _clockStart;
    private long _bytesBefore;
    private long _parkedAt;
    private SecondaryStreamState _state = SecondaryStreamState.Opening;
    private long _offset;
    private long _placed;
    private bool _parked;
    private KwikError? _stopCode;

    public InboundSecondaryStream(int pathId, ITransportStream stream, FrameReader frames, TimeProvider time)
    {
        Id = new(pathId, stream.Id);
        Frames = frames;
        _stream = stream;
        _time = time;
        _createdAt = time.GetUtcNow();
        _lastActivity = time.GetTimestamp();
    }

    public SecondaryStreamId Id { get; }

    public FrameReader Frames { get; }

    /// <summary>The request that this stream answers; null for bytes that nobody asked for.</summary>
    public StreamMapping? Request { get; set; }

    /// <summary>The public stream that it is mapped to; -1 before. Set by the mapping manager, under its lock.</summary>
    public long StreamId { get; set; } = -1;

    /// <summary>Cancelled when the stream is stopped by us.</summary>
    public CancellationToken Stopped => _stopped.Token;

    /// <summary>What the server's close frame says; PathLost before there was one.</summary>
    public KwikError Outcome { get; set; } = KwikError.PathLost;

    /// <summary>True when a corrupt piece was left out: what was placed behind it does not follow what was placed before.</summary>
    public bool HasDropped { get; set; }

    /// <summary>True when its bytes differ from those of another source, and <see cref="ConflictResolution.Reject"/> was chosen.</summary>
    public bool ContradictsAnother { get; set; }

    /// <summary>What was decided about the last fault; for the reading task only.</summary>
    public (KwikException Fault, RecoveryAction Action)? Decision { get; set; }

    /// <summary>Why we stopped it; null when we did not.</summary>
    public KwikError? StopCode
    {
        get
        {
            lock (_gate)
            {
                return _stopCode;
            }
        }
    }

    /// <summary>Offset in the public stream of the next byte.</summary>
    public long Offset
    {
        get
        {
            lock (_gate)
            {
                return _offset;
            }
        }
    }

    /// <summary>True when its next piece has not fit the window of its public stream for so long.</summary>
    public bool IsParkedFor(TimeSpan duration)
    {
        lock (_gate)
        {
            return _parked && _time.GetElapsedTime(_parkedAt) >= duration;
        }
    }

    /// <summary>True when nothing has come for so long although there was room.</summary>
    public bool IsIdleFor(TimeSpan duration)
    {
        lock (_gate)
        {
            return !_parked && _time.GetElapsedTime(_lastActivity) >= duration;
        }
    }

    public SecondaryStreamState State
    {
        get
        {
            lock (_gate)
            {
                return _state;
            }
        }
    }

    public StreamMappingInfo Snapshot()
    {
        lock (_gate)
        {
            DateTimeOffset lastActivity = _time.GetUtcNow() - _time.GetElapsedTime(_lastActivity);
            return new(Id, StreamId, _state, _createdAt, lastActivity, _placed, _offset);
        }
    }

    public void Advance(SecondaryStreamInput input)
    {
        lock (_gate)
        {
            if (SecondaryStreamStates.TryAdvance(ref _state, input) && input == SecondaryStreamInput.Opened)
            {
                RestartClockLocked();
            }
        }
    }

    /// <summary>The next byte belongs here.</summary>
    public void MoveTo(long offset)
    {
        lock (_gate)
        {
            _offset = offset;
        }
    }

    /// <summary>Bytes were placed, up to <paramref name="offset"/>.</summary>
    public void CountPlaced(long offset, int bytes)
    {
        lock (_gate)
        {
            _offset = offset;
            _placed += bytes;
            _lastActivity = _time.GetTimestamp();
        }
    }

    /// <summary>
    /// We hold the stream back, which is pushed, or no longer do. Its clock then begins anew: what is pushed may come whenever
    /// its sender likes, a frame at a time.
    /// </summary>
    public void Park(bool parked)
    {
        lock (_gate)
        {
            _parkedAt = _time.GetTimestamp();
            _parked = parked;
            if (!parked)
            {
                RestartClockLocked();
            }
        }
    }

    /// <summary>
    /// True when the stream, since it was mapped, is slower than <paramref name="minimumRate"/> bytes a second since the
    /// last check that found it fast enough, <paramref name="timeout"/> ago or longer. A pushed one that is parked is not.
    /// </summary>
    public bool IsStalled(TimeSpan timeout, int minimumRate)
    {
        lock (_gate)
        {
            if (_parked || _state == SecondaryStreamState.Opening)
            {
                return false;
            }

            TimeSpan elapsed = _time.GetElapsedTime(_clockStart);
            if (Frames.BytesRead - _bytesBefore >= minimumRate * Math.Max(1, elapsed.TotalSeconds))
            {
                RestartClockLocked();
                return false;
            }

            return elapsed >= timeout;
        }
    }

    /// <summary>Stops the stream: its reader ends with this code, wherever it waits. Does nothing the second time.</summary>
    public void Stop(KwikError code)
    {
        lock (_gate)
        {
            _stopCode ??= code;
        }

        _stream.AbortReads(code);
        _stopped.Cancel();
    }

    private void RestartClockLocked()
    {
        _clockStart = _time.GetTimestamp();
        _bytesBefore = Frames.BytesRead;
    }
}
