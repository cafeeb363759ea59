using System.Diagnostics.CodeAnalysis;
using System.Net;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// The paths of one client session, their states, and the limits on them. Safe for concurrent use.
/// </summary>
internal sealed class PathTable(int maxPaths, TimeProvider time, SessionEventQueue events)
{
    /// <summary>Addresses that a session ever connects to: a primary must not be able to aim its clients at anybody.</summary>
    public const int MaxAddresses = 32;

    /// <summary>Removed paths that are still listed; then the one that was announced first is forgotten.</summary>
    public const int MaxRemoved = 64;

    private readonly Lock _gate = new();
    private readonly SortedDictionary<int, PathEntry> _paths = [];
    private readonly HashSet<IPEndPoint> _addresses = [];
    private readonly Queue<ControlFrame> _news = [];

    // What paths brought that are not listed any more: what is summed must not shrink.
    private long _forgottenBytes;

    /// <summary>Set when <see cref="TakeNews"/> has something.</summary>
    public AsyncSignal HasNews { get; } = new();

    /// <summary>The path that is there from the beginning.</summary>
    public PathEntry AddPrimary(KwikPath path, CancellationTokenSource stop)
    {
        var entry = new PathEntry(path.Id, path.Role, time.GetUtcNow())
        {
            Stop = stop,
            State = PathState.Active,
            Connection = path,
        };
        lock (_gate)
        {
            _paths.Add(path.Id, entry);
        }

        return entry;
    }

    /// <summary>Takes a path that the primary announced, within the limits. Nothing has been looked up or sent yet.</summary>
    /// <exception cref="KwikException">It breaks a rule or a limit.</exception>
    public PathEntry Announce(AddPath request, HeldToken? token)
    {
        if (request.PathId is 0 or > int.MaxValue || request.Port is 0 or > 65535 || request.Host.Length is 0 or > 255
            || request.Pins.Count is 0 or > 2 || request.Pins.Any(pin => pin.Length != KeyHash.Size)
            || token is null)
        {
            throw Refused(KwikError.MetadataProtocolViolation, $"AddPath {request.PathId} has values out of range.");
        }

        int pathId = (int)request.PathId;
        lock (_gate)
        {
            if (_paths.ContainsKey(pathId))
            {
                throw Refused(KwikError.MetadataProtocolViolation, $"Path {pathId} exists already.");
            }

            // One that was lost keeps its place: it may come back.
            if (_paths.Values.Count(path => path.State != PathState.Removed) >= maxPaths)
            {
                throw Refused(KwikError.LimitExceeded, $"A session has at most {maxPaths} paths (MaxPaths).");
            }

            var entry = new PathEntry(pathId, ServerRole.Secondary, time.GetUtcNow())
            {
                Announced = request,
                Token = token,
            };
            _paths.Add(pathId, entry);
            return entry;
        }
    }

    /// <summary>Counts an address that is about to be connected to.</summary>
    /// <exception cref="KwikException">It is one too many.</exception>
    public void Reserve(IPEndPoint address)
    {
        lock (_gate)
        {
            if (_addresses.Count >= MaxAddresses && !_addresses.Contains(address))
            {
                throw Refused(KwikError.LimitExceeded, $"A session connects to at most {MaxAddresses} addresses.");
            }

            _addresses.Add(address);
        }
    }

    /// <summary>
    /// The only way in which the state of a path changes; false when it did not. <paramref name="connection"/>: the one
    /// that was made, or the one that the input is about, which counts only while it is the present one.
    /// </summary>
    public bool TryAdvance(PathEntry path, PathInput input, KwikPath? connection = null)
    {
        lock (_gate)
        {
            PathState before = path.State;
            bool isStale = connection is not null && input != PathInput.Connected && connection != path.Connection;
            if (isStale || !PathStates.TryAdvance(before, input, out PathState next))
            {
                return false;
            }

            if (input == PathInput.Connected && path.Connection is { } earlier)
            {
                path.EarlierBytes += earlier.BytesReceived;
                path.EarlierViolations += earlier.Violations;
            }

            path.Connection = input == PathInput.Connected ? connection : path.Connection;
            path.State = next;
            path.Since = time.GetUtcNow();
            PathInfo info = path.Describe();
            // Both queues under the lock: the order of the changes is the order in which they are told.
            events.Raise(new PathStateChanged(info, before));
            if (path.Role == ServerRole.Secondary)
            {
                TellLocked(path, info);
            }

            ForgetRemovedLocked();
        }

        HasNews.Set();
        return true;
    }

    /// <summary>The primary wants a path gone. False when there is no such path, or it is going or gone.</summary>
    public bool TryLeave(int pathId, [NotNullWhen(true)] out PathEntry? path)
    {
        lock (_gate)
        {
            if (!_paths.TryGetValue(pathId, out path) || path.State == PathState.Removed || path.IsLeaving || pathId == 0)
            {
                return false;
            }

            path.IsLeaving = true;
            return true;
        }
    }

    /// <summary>Forgets a path that never was active.</summary>
    public void Forget(PathEntry path)
    {
        lock (_gate)
        {
            _paths.Remove(path.Id);
        }
    }

    public PathEntry? Find(int pathId)
    {
        lock (_gate)
        {
            return _paths.GetValueOrDefault(pathId);
        }
    }

    public List<PathInfo> Snapshot()
    {
        lock (_gate)
        {
            return [.. _paths.Values.Select(path => path.Describe())];
        }
    }

    /// <summary>The secondaries' paths that may be needed again.</summary>
    public List<PathEntry> Kept()
    {
        lock (_gate)
        {
            return [.. _paths.Values.Where(path => path is { Role: ServerRole.Secondary, IsLeaving: false, State: not PathState.Removed })];
        }
    }

    /// <summary>The connections that data can be asked of, and that stay.</summary>
    public List<KwikPath> Alive()
    {
        lock (_gate)
        {
            return [.. _paths.Values.Where(path => PathStates.Serves(path.State) && !path.IsLeaving).Select(path => path.Connection!)];
        }
    }

    /// <summary>The connection of a path that takes something new now; else null.</summary>
    public KwikPath? FindServing(int pathId)
    {
        lock (_gate)
        {
            return _paths.TryGetValue(pathId, out PathEntry? path) && PathStates.Serves(path.State) && !path.IsLeaving
                ? path.Connection
                : null;
        }
    }

    /// <summary>Payload that came on Internal streams, from the primary and from all secondaries that ever were.</summary>
    public (long Primary, long Secondaries) CountReceived()
    {
        lock (_gate)
        {
            return (
                _paths.Values.Where(path => path.Role == ServerRole.Primary).Sum(path => path.Describe().BytesReceived),
                _forgottenBytes + _paths.Values.Where(path => path.Role == ServerRole.Secondary).Sum(path => path.Describe().BytesReceived));
        }
    }

    /// <summary>Tells the primary something, behind the changes that were there before.</summary>
    public void Tell(ControlFrame frame)
    {
        lock (_gate)
        {
            _news.Enqueue(frame);
        }

        HasNews.Set();
    }

    /// <summary>
    /// What the primary has not been told yet, in order: each change of a state, and with <paramref name="everything"/>
    /// also what else has moved.
    /// </summary>
    public List<ControlFrame> TakeNews(bool everything)
    {
        lock (_gate)
        {
            foreach (PathEntry path in _paths.Values)
            {
                if (everything && path is { Role: ServerRole.Secondary, State: not PathState.Removed }
                    && path.Describe() is { } now && HasMoved(path.Reported, now))
                {
                    TellLocked(path, now);
                }
            }

            List<ControlFrame> news = [.. _news];
            _news.Clear();
            return news;
        }
    }

    // The last activity is computed from two clocks and is not the same to the tick each time.
    private static bool HasMoved(PathInfo? last, PathInfo now) =>
        last is null
        || last.BytesReceived != now.BytesReceived
        || last.RoundTrip != now.RoundTrip
        || now.LastActivity - last.LastActivity > TimeSpan.FromMilliseconds(1);

    private void TellLocked(PathEntry path, PathInfo info)
    {
        path.Reported = info;
        _news.Enqueue(new ControlFrame { PathStatus = PathStatusWire.Write(info, time.GetUtcNow()) });
    }

    private void ForgetRemovedLocked()
    {
        if (_paths.Values.Count(path => path.State == PathState.Removed) > MaxRemoved)
        {
            PathEntry oldest = _paths.Values.First(path => path.State == PathState.Removed);
            _forgottenBytes += oldest.Describe().BytesReceived;
            _paths.Remove(oldest.Id);
        }
    }

    private static KwikException Refused(KwikError code, string what) => new(code, KwikErrorSide.Remote, what, pathId: 0);
}
