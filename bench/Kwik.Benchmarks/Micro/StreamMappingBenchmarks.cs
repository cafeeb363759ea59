using BenchmarkDotNet.Attributes;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Benchmarks;

/// <summary>
/// What it costs to find out where an Internal stream belongs, and whether it may write there. Bar: below 100 ns each, no
/// allocation. As full as the defaults let it become: 8 paths, on each 64 requests, 64 streams and the most grants.
/// </summary>
[MemoryDiagnoser]
public class StreamMappingBenchmarks
{
    private const int Paths = 8;
    private const int PerPath = 64;
    private const int Expected = Paths * PerPath;
    private const int PieceSize = 64 * 1024;
    private const int GrantSize = 16 * PieceSize;

    private readonly StreamMappingManager _mappings = new();
    private readonly StreamMapping[] _requests = new StreamMapping[Expected];
    private readonly SecondaryStreamId[] _streams = new SecondaryStreamId[Expected];
    private readonly (int Path, long Offset)[] _pieces = new (int Path, long Offset)[Expected];
    private int _next;

    [GlobalSetup]
    public void Setup()
    {
        var pool = new LeasePool();
        for (int i = 0; i < Expected; i++)
        {
            _requests[i] = new StreamMapping(i % Paths, i, null!, 0, 1, null!);
            _mappings.Expect(_requests[i]);

            // The ids of the streams that a server opens one-way: 3, 7, 11 and so on.
            var transport = new EndlessTransportStream((4 * (i / Paths)) + 3);
            var source = new InboundSecondaryStream(i % Paths, transport, new FrameReader(transport, pool), TimeProvider.System);
            _mappings.TryMap(source, streamId: 4 * (i % 16));
            _streams[i] = source.Id;
        }

        bool granted = true;
        for (int i = 0; i < Paths * MappingGrants.MaxRanges; i++)
        {
            // With gaps: ranges that touch would be looked up together.
            granted &= _mappings.TryUpdateGrants(grants => grants.TryAdd(i % Paths, streamId: 0, (long)(i / Paths) * 2 * GrantSize, GrantSize));
        }

        for (int i = 0; i < Expected; i++)
        {
            _pieces[i] = (i % Paths, (Random.Shared.Next(MappingGrants.MaxRanges) * 2L * GrantSize) + (i % 16 * PieceSize));
        }

        // All that is looked for must be there: what is not found would be found faster.
        if (!granted || !_streams.All(id => _mappings.FindTarget(id) >= 0)
            || !_pieces.All(piece => _mappings.IsGranted(piece.Path, 0, piece.Offset, piece.Offset + PieceSize)))
        {
            throw new InvalidOperationException("A mapping or a grant that was made is missing.");
        }

        // In no order that a processor could foresee.
        Random.Shared.Shuffle(_requests);
        Random.Shared.Shuffle(_streams);
    }

    /// <summary>A server answers a request, once an Internal stream: finds the mapping, which takes it out; puts it back besides.</summary>
    [Benchmark]
    public bool Request()
    {
        StreamMapping request = _requests[Next()];
        bool found = _mappings.TryResolve(request.PathId, request.RequestId, out StreamMapping? mapping);
        _mappings.Expect(mapping!);
        return found;
    }

    /// <summary>The public stream of an Internal stream that is mapped.</summary>
    [Benchmark]
    public long Target() => _mappings.FindTarget(_streams[Next()]);

    /// <summary>May a path write this piece? Once a pushed frame.</summary>
    [Benchmark]
    public bool Grant()
    {
        (int path, long offset) = _pieces[Next()];
        return _mappings.IsGranted(path, streamId: 0, offset, offset + PieceSize);
    }

    private int Next() => _next = (_next + 1) % Expected;
}
