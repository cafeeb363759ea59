using Kwik.Data;

namespace Kwik.Sessions;

/// <summary>
/// The contents that one client is sent, each from its offer or the first request for it until the client closes its stream or
/// the connection ends. Safe for concurrent use.
/// </summary>
internal sealed class ContentUses(TimeProvider time, SessionEventQueue events)
{
    /// <summary>Contents that a client can make a server remember by asking; what it asks for beyond them is served, and not counted.</summary>
    public const int MaxAsked = 1024;

    private readonly Lock _gate = new();
    private readonly Dictionary<long, Use> _uses = [];
    private readonly Dictionary<long, TaskCompletionSource<ContentClosed>> _expected = [];
    private readonly List<TaskCompletionSource> _waiting = [];
    private bool _ended;

    /// <summary>The stream is to bear a content: what comes of it. Cancelled when the stream is closed without one.</summary>
    public Task<ContentClosed> Expect(long streamId)
    {
        lock (_gate)
        {
            if (!_expected.TryGetValue(streamId, out TaskCompletionSource<ContentClosed>? closed))
            {
                closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
                if (_ended)
                {
                    closed.SetCanceled();
                    return closed.Task;
                }

                _expected.Add(streamId, closed);
            }

            return closed.Task;
        }
    }

    /// <summary>The stream bears this content.</summary>
    public void Begin(long streamId, ContentRoot root, bool asked)
    {
        lock (_gate)
        {
            if (!_ended && (!asked || _uses.Count < MaxAsked))
            {
                _uses.TryAdd(streamId, new Use(root, time.GetTimestamp()));
            }
        }
    }

    /// <summary>An answer to a request has ended.</summary>
    public void Count(long streamId, long offset, long bytes)
    {
        lock (_gate)
        {
            if (_uses.TryGetValue(streamId, out Use? use))
            {
                use.Requests++;
                use.Bytes += bytes;
                use.Offset = Math.Min(use.Offset, offset);
                use.End = Math.Max(use.End, offset + bytes);
            }
        }
    }

    /// <summary>This side has closed the stream: what was expected and has not begun does not come.</summary>
    public void CloseUnused(long streamId)
    {
        lock (_gate)
        {
            if (!_uses.ContainsKey(streamId) && _expected.Remove(streamId, out TaskCompletionSource<ContentClosed>? none))
            {
                none.SetCanceled();
                WakeLocked();
            }
        }
    }

    /// <summary>The client has closed the stream.</summary>
    public void Close(long streamId)
    {
        lock (_gate)
        {
            EndLocked(streamId, KwikError.None);
            WakeLocked();
        }
    }

    /// <summary>The connection has ended for this reason.</summary>
    public void CloseAll(KwikError error)
    {
        lock (_gate)
        {
            _ended = true;
            foreach (long streamId in _uses.Keys.ToList())
            {
                EndLocked(streamId, error);
            }

            foreach (TaskCompletionSource<ContentClosed> none in _expected.Values)
            {
                none.SetCanceled();
            }

            _expected.Clear();
            WakeLocked();
        }
    }

    /// <summary>Ends when there is none.</summary>
    public async Task WaitForNoneAsync(CancellationToken cancellationToken)
    {
        TaskCompletionSource? none = null;
        lock (_gate)
        {
            if (_uses.Count + _expected.Count > 0)
            {
                none = new(TaskCreationOptions.RunContinuationsAsynchronously);
                _waiting.Add(none);
            }
        }

        if (none is not null)
        {
            await Streams.Background.WaitFor(none).WaitAsync(cancellationToken);
        }
    }

    private void EndLocked(long streamId, KwikError error)
    {
        if (!_uses.Remove(streamId, out Use? use))
        {
            return;
        }

        var closed = new ContentClosed(
            streamId, use.Root, use.End > use.Offset ? use.Offset : 0, use.End, use.Bytes, use.Requests, time.GetElapsedTime(use.Began), error);
        events.Raise(closed);
        if (_expected.Remove(streamId, out TaskCompletionSource<ContentClosed>? expected))
        {
            expected.SetResult(closed);
        }
    }

    private void WakeLocked()
    {
        if (_uses.Count + _expected.Count == 0)
        {
            _waiting.ForEach(waiting => waiting.SetResult());
            _waiting.Clear();
        }
    }

    private sealed class Use(ContentRoot root, long began)
    {
        public ContentRoot Root => root;

        public long Began => began;

        public long Offset { get; set; } = long.MaxValue;

        public long End { get; set; }

        public long Bytes { get; set; }

        public int Requests { get; set; }
    }
}
