using System.Diagnostics.CodeAnalysis;

namespace Kwik.Streams;

/// <summary>
/// Who may write what into which public stream, and which Internal stream does. The rule that makes untrusted servers
/// safe: a range that was neither asked of a path nor granted to it is not accepted from it. Safe for concurrent use.
/// </summary>
internal sealed class StreamMappingManager
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(int Path, long Request), StreamMapping> _expected = [];
    private readonly MappingGrants _grants = new();

    // Taken back. Who writes there, and has not heard of it, breaks no rule.
    private readonly MappingGrants _former = new();

    // Both directions: an Internal stream has one public stream, a public stream has any number of Internal streams.
    private readonly Dictionary<SecondaryStreamId, InboundSecondaryStream> _mapped = [];
    private readonly Dictionary<long, List<InboundSecondaryStream>> _sources = [];

    /// <summary>Is told of each Internal stream that is mapped, and when it no longer is; under the lock.</summary>
    public Action<InboundSecondaryStream, bool>? Changed { get; set; }

    /// <summary>Ranges asked for and not yet answered.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _expected.Count;
            }
        }
    }

    /// <summary>Internal streams that were to be mapped a second time, to another public stream.</summary>
    public long Conflicts { get; private set; }

    /// <summary>A server is about to be asked for this range.</summary>
    public void Expect(StreamMapping mapping)
    {
        lock (_gate)
        {
            _expected.Add((mapping.PathId, mapping.RequestId), mapping);
        }
    }

    /// <summary>
    /// A server opened a stream in answer to a request. Each request is answered once; false when that path was not
    /// asked for this, or no longer.
    /// </summary>
    public bool TryResolve(int pathId, long requestId, [NotNullWhen(true)] out StreamMapping? mapping)
    {
        lock (_gate)
        {
            return _expected.Remove((pathId, requestId), out mapping);
        }
    }

    /// <summary>The answer is no longer wanted, or will not come. False when it is there already.</summary>
    public bool Forget(StreamMapping mapping) => TryResolve(mapping.PathId, mapping.RequestId, out _);

    /// <summary>The primary grants, resizes or takes back a range; the rules are those of <see cref="MappingGrants"/>.</summary>
    public bool TryUpdateGrants(Func<MappingGrants, bool> update)
    {
        lock (_gate)
        {
            return update(_grants);
        }
    }

    /// <summary>
    /// The primary gives a range another length; what is cut off is taken back. False when it cannot have that length, or,
    /// as <paramref name="isUnknown"/> says, when no range begins there any more.
    /// </summary>
    public bool TryResize(int pathId, long streamId, long offset, long length, out bool isUnknown)
    {
        lock (_gate)
        {
            isUnknown = !_grants.TryFind(pathId, streamId, offset, out (long Offset, long End) range) || range.Offset != offset;
            if (isUnknown || !_grants.TryResize(pathId, streamId, offset, length))
            {
                return false;
            }

            if (offset + length < range.End)
            {
                _former.TryAdd(pathId, streamId, offset + length, range.End - offset - length);
            }

            return true;
        }
    }

    /// <summary>The public streams in which a path was granted something that it may still write.</summary>
    public HashSet<long> StreamsOf(int pathId)
    {
        lock (_gate)
        {
            return _grants.StreamsOf(pathId);
        }
    }

    /// <summary>True when the primary granted every one of these bytes to the path.</summary>
    public bool IsGranted(int pathId, long streamId, long offset, long end)
    {
        lock (_gate)
        {
            return _grants.Cover(pathId, streamId, offset, end);
        }
    }

    /// <summary>True when the primary had granted every one of these bytes to the path, whatever has been taken back since.</summary>
    public bool WasGranted(int pathId, long streamId, long offset, long end)
    {
        lock (_gate)
        {
            while (offset < end && (_grants.TryFind(pathId, streamId, offset, out (long Offset, long End) range)
                || _former.TryFind(pathId, streamId, offset, out range)))
            {
                offset = range.End;
            }

            return offset >= end;
        }
    }

    /// <summary>Takes back what a path may still write, in all streams or in one; returns what it was.</summary>
    public List<(long StreamId, long Offset, long End)> RevokePath(int pathId, long? streamId = null)
    {
        lock (_gate)
        {
            List<(long StreamId, long Offset, long End)> revoked =
                [.. _grants.OfPath(pathId).Where(range => streamId is null || range.StreamId == streamId)];
            revoked.ForEach(range => RevokeLocked(pathId, range.StreamId, range.Offset, range.End));
            return revoked;
        }
    }

    /// <summary>Takes back the range that holds this byte, and returns it.</summary>
    public bool TryRevokeAt(int pathId, long streamId, long offset, out (long Offset, long End) range)
    {
        lock (_gate)
        {
            bool found = _grants.TryFind(pathId, streamId, offset, out range);
            if (found)
            {
                RevokeLocked(pathId, streamId, range.Offset, range.End);
            }

            return found;
        }
    }

    /// <summary>Who is to send this byte: the path that was asked for it, else the one it was granted to, else the primary.</summary>
    public int FindSource(long streamId, long offset)
    {
        lock (_gate)
        {
            InboundSecondaryStream? coming = _sources.GetValueOrDefault(streamId)?
                .Find(source => source.Request is { } asked && asked.Offset <= offset && offset < asked.End);
            if (coming is not null)
            {
                return coming.Id.PathId;
            }

            StreamMapping? asked = _expected.Values.FirstOrDefault(
                mapping => mapping.Stream.Id == streamId && mapping.Offset <= offset && offset < mapping.End);
            return asked?.PathId ?? _grants.PathsAt(streamId, offset).FirstOrDefault();
        }
    }

    /// <summary>An Internal stream belongs to this public stream from now on. False: it belongs to another one already.</summary>
    public bool TryMap(InboundSecondaryStream source, long streamId)
    {
        lock (_gate)
        {
            if (!_mapped.TryAdd(source.Id, source))
            {
                Conflicts += source.StreamId == streamId ? 0 : 1;
                return source.StreamId == streamId;
            }

            source.StreamId = streamId;
            if (!_sources.TryGetValue(streamId, out List<InboundSecondaryStream>? sources))
            {
                _sources[streamId] = sources = [];
            }

            sources.Add(source);
            Changed?.Invoke(source, true);
            return true;
        }
    }

    /// <summary>An Internal stream has ended; the public stream goes on with the others. False when it was not mapped.</summary>
    public bool Unmap(InboundSecondaryStream source)
    {
        lock (_gate)
        {
            if (!_mapped.Remove(source.Id))
            {
                return false;
            }

            List<InboundSecondaryStream> sources = _sources[source.StreamId];
            sources.Remove(source);
            if (sources.Count == 0)
            {
                _sources.Remove(source.StreamId);
            }

            Changed?.Invoke(source, false);
            return true;
        }
    }

    /// <summary>The public stream that an Internal stream is mapped to; -1 when it is not.</summary>
    public long FindTarget(SecondaryStreamId id)
    {
        lock (_gate)
        {
            return _mapped.TryGetValue(id, out InboundSecondaryStream? source) ? source.StreamId : -1;
        }
    }

    /// <summary>The Internal streams that are mapped to a public stream.</summary>
    public List<InboundSecondaryStream> SourcesOf(long streamId)
    {
        lock (_gate)
        {
            return [.. _sources.GetValueOrDefault(streamId, [])];
        }
    }

    /// <summary>Every Internal stream that is mapped.</summary>
    public List<InboundSecondaryStream> Mapped()
    {
        lock (_gate)
        {
            return [.. _mapped.Values];
        }
    }

    /// <summary>
    /// A public stream is closed: grants for it end; false when there were none. Its Internal streams stay mapped until their
    /// readers end.
    /// </summary>
    public bool RemoveStream(long streamId)
    {
        lock (_gate)
        {
            return _grants.RemoveStream(streamId) | _former.RemoveStream(streamId);
        }
    }

    private void RevokeLocked(int pathId, long streamId, long offset, long end)
    {
        _grants.Remove(pathId, streamId, offset);
        // False for what was taken back before, and when there is no room to remember it.
        _former.TryAdd(pathId, streamId, offset, end - offset);
    }
}
