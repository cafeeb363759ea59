using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// The paths that a primary announced to one client, and what the client says of them. Nothing here is more true than the
/// client's word. Safe for concurrent use.
/// </summary>
internal sealed class AnnouncedPaths(TimeProvider time, SessionEventQueue events)
{
    private readonly Lock _gate = new();
    private readonly SortedDictionary<int, Announced> _paths = [];
    private int _lastId;
    private KwikException? _ended;

    private sealed class Announced(SecondaryServer server, PathInfo info)
    {
        public SecondaryServer Server => server;

        public PathInfo Info { get; set; } = info;

        public TaskCompletionSource Added { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource? Leaving { get; set; }
    }

    /// <summary>Gives a path its number; the task ends with the client's answer.</summary>
    /// <exception cref="KwikException">The session has ended.</exception>
    public (int PathId, Task Added) Announce(SecondaryServer server)
    {
        lock (_gate)
        {
            ThrowIfEndedLocked();
            int pathId = ++_lastId;
            DateTimeOffset now = time.GetUtcNow();
            var path = new Announced(server, new(pathId, ServerRole.Secondary, null, PathState.Connecting, now, now, null, 0));
            _paths.Add(pathId, path);
            return (pathId, Background.WaitFor(path.Added));
        }
    }

    /// <summary>
    /// The client is to be told that the path is removed when <paramref name="isFirst"/> says so; the task ends when it has
    /// answered.
    /// </summary>
    /// <exception cref="KwikException">The session has ended, or it never had such a path: NotFound.</exception>
    public Task Leave(int pathId, out bool isFirst)
    {
        lock (_gate)
        {
            ThrowIfEndedLocked();
            if (!_paths.TryGetValue(pathId, out Announced? path))
            {
                throw new KwikException(
                    KwikError.NotFound, KwikErrorSide.Local, $"The session has no path {pathId} that could be removed.", pathId: pathId);
            }

            isFirst = path.Leaving is null && path.Info.State != PathState.Removed;
            if (path.Info.State == PathState.Removed)
            {
                return Task.CompletedTask;
            }

            path.Leaving ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return Background.WaitFor(path.Leaving);
        }
    }

    /// <summary>The client's answer to the announcement.</summary>
    public void OnAdded(PathAdded answer)
    {
        KwikError code = QuicErrors.FromWire((long)answer.ErrorCode);
        Announced? path;
        lock (_gate)
        {
            path = FindLocked(answer.PathId);
            if (path is not null && code != KwikError.None)
            {
                AdvanceLocked(path, path.Info with { State = PathState.Removed });
                _paths.Remove((int)answer.PathId);
            }
        }

        if (code == KwikError.None)
        {
            path?.Added.TrySetResult();
            return;
        }

        path?.Added.TrySetException(new KwikException(
            code, KwikErrorSide.Remote, $"The client could not add path {answer.PathId}: {code}.", null, (int)answer.PathId));
        path?.Leaving?.TrySetResult();
    }

    /// <summary>The client says that a path is gone.</summary>
    public void OnRemoved(PathRemoved removed)
    {
        Announced? path;
        lock (_gate)
        {
            path = FindLocked(removed.PathId);
            if (path is not null)
            {
                AdvanceLocked(path, path.Info with { State = PathState.Removed });
                ForgetRemovedLocked();
            }
        }

        path?.Leaving?.TrySetResult();
    }

    /// <summary>The client says how a path fares; returns the state that it has come into, null when that is the same.</summary>
    public PathState? OnStatus(PathStatus status)
    {
        lock (_gate)
        {
            Announced? path = FindLocked(status.PathId);
            PathInfo now = PathStatusWire.TryRead(status, time.GetUtcNow())
                ?? throw Violation($"The status of path {status.PathId} has values out of range.");
            if (path is null)
            {
                return null;
            }

            if (path.Info.State == PathState.Removed && now.State != PathState.Removed)
            {
                throw Violation($"Path {status.PathId} was removed and is {now.State}.");
            }

            bool isNews = path.Info.State != now.State;
            AdvanceLocked(path, now);
            return isNews ? now.State : null;
        }
    }

    /// <summary>The server behind a path that may need a new token; null for one that was removed.</summary>
    public SecondaryServer? ServerOf(uint pathId)
    {
        lock (_gate)
        {
            return FindLocked(pathId) is { Leaving: null } path && path.Info.State != PathState.Removed ? path.Server : null;
        }
    }

    public List<PathInfo> Snapshot()
    {
        lock (_gate)
        {
            return [.. _paths.Values.Select(path => path.Info)];
        }
    }

    /// <summary>Checks that a client speaks of a path that it was told.</summary>
    /// <exception cref="KwikException">It was never announced.</exception>
    public void RequireAnnounced(uint pathId)
    {
        lock (_gate)
        {
            FindLocked(pathId);
        }
    }

    /// <summary>True for a path that the client has not removed.</summary>
    public bool Has(int pathId)
    {
        lock (_gate)
        {
            return _paths.TryGetValue(pathId, out Announced? path) && path.Info.State != PathState.Removed;
        }
    }

    /// <summary>The session has ended, and so have all paths; whoever waits learns why.</summary>
    public void End(KwikException reason)
    {
        List<Announced> paths;
        lock (_gate)
        {
            _ended ??= reason;
            paths = [.. _paths.Values];
            paths.ForEach(path => AdvanceLocked(path, path.Info with { State = PathState.Removed }));
        }

        foreach (Announced path in paths)
        {
            path.Added.TrySetException(reason);
            _ = path.Added.Task.Exception;
            path.Leaving?.TrySetException(reason);
        }
    }

    private static KwikException Violation(string what) => new(KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, what);

    /// <summary>Null for a path that is forgotten.</summary>
    /// <exception cref="KwikException">It was never announced.</exception>
    private Announced? FindLocked(uint pathId) => pathId > 0 && pathId <= _lastId
        ? _paths.GetValueOrDefault((int)pathId)
        : throw Violation($"Path {pathId} was never announced.");

    private void AdvanceLocked(Announced path, PathInfo now)
    {
        PathState before = path.Info.State;
        path.Info = now.State == before || now.Since != path.Info.Since ? now : now with { Since = time.GetUtcNow() };
        if (now.State != before)
        {
            events.Raise(new PathStateChanged(path.Info, before));
        }
    }

    private void ForgetRemovedLocked()
    {
        if (_paths.Values.Count(path => path.Info.State == PathState.Removed) > PathTable.MaxRemoved)
        {
            _paths.Remove(_paths.Values.First(path => path.Info.State == PathState.Removed).Info.Id);
        }
    }

    private void ThrowIfEndedLocked()
    {
        if (_ended is not null)
        {
            throw new KwikException(_ended.Code, _ended.Side, _ended.Message, _ended);
        }
    }
}
