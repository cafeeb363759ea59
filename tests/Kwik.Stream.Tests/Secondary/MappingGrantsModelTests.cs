using FsCheck;
using FsCheck.Fluent;
using Property = Kwik.Testing.Property;

namespace Kwik.Streams.Tests;

/// <summary>The grants against a naive model in a small space: each byte knows the range that it lies in.</summary>
public sealed class MappingGrantsModelTests
{
    private const int Size = 24;
    private const int Paths = 2;
    private const int Streams = 2;

    private enum Kind
    {
        Add,
        Resize,
        Remove,
        RemoveStream,
    }

    [Fact]
    public void Steps_Random_AgreeWithTheModel()
    {
        Gen<Step> steps =
            from kind in Gen.Frequency(
                (10, Gen.Constant(Kind.Add)), (4, Gen.Constant(Kind.Resize)), (4, Gen.Constant(Kind.Remove)), (1, Gen.Constant(Kind.RemoveStream)))
            from path in Gen.Choose(0, Paths - 1)
            from stream in Gen.Choose(0, Streams - 1)
            from offset in Gen.Choose(-1, Size - 8)
            from length in Gen.Choose(-1, 8)
            select new Step(kind, path, stream, offset, length);
        Property.HoldsForLists(steps, maxLength: 40, Run);
    }

    private static void Run(List<Step> steps)
    {
        var grants = new MappingGrants();
        var model = new Model();
        foreach (Step step in steps)
        {
            Assert.Equal(model.Apply(step), Apply(grants, step));
            AssertSame(model, grants);
        }
    }

    private static bool Apply(MappingGrants grants, Step step)
    {
        switch (step.Kind)
        {
            case Kind.Add:
                return grants.TryAdd(step.Path, step.Stream, step.Offset, step.Length);
            case Kind.Resize:
                return grants.TryResize(step.Path, step.Stream, step.Offset, step.Length);
            case Kind.Remove:
                return grants.Remove(step.Path, step.Stream, step.Offset);
            default:
                grants.RemoveStream(step.Stream);
                return true;
        }
    }

    private static void AssertSame(Model model, MappingGrants grants)
    {
        for (int path = 0; path < Paths; path++)
        {
            Assert.Equal(model.OfPath(path), grants.OfPath(path).Order());
            for (int stream = 0; stream < Streams; stream++)
            {
                for (int offset = 0; offset < Size; offset++)
                {
                    int? start = model.StartAt(path, stream, offset);
                    Assert.Equal(start is not null, grants.TryFind(path, stream, offset, out (long Offset, long End) range));
                    Assert.True(start is null || (range.Offset == start && range.Offset <= offset && offset < range.End));
                    int end = offset + ((offset * 7) % 9);
                    Assert.Equal(model.Covers(path, stream, offset, end), grants.Cover(path, stream, offset, end));
                }
            }
        }

        for (int offset = 0; offset < Size; offset++)
        {
            Assert.Equal(Enumerable.Range(0, Paths).Where(path => model.StartAt(path, 1, offset) is not null), grants.PathsAt(1, offset));
        }
    }

    private sealed record Step(Kind Kind, int Path, int Stream, int Offset, int Length);

    private sealed class Model
    {
        // By path, stream and offset: the first byte of the range that holds it.
        private readonly int?[,,] _starts = new int?[Paths, Streams, Size * 2];

        public int? StartAt(int path, int stream, int offset) => _starts[path, stream, offset];

        public bool Covers(int path, int stream, int offset, int end) =>
            Enumerable.Range(offset, end - offset).All(at => _starts[path, stream, at] is not null);

        public IEnumerable<(long Stream, long Offset, long End)> OfPath(int path) =>
            from stream in Enumerable.Range(0, Streams)
            from offset in Enumerable.Range(0, Size * 2)
            where _starts[path, stream, offset] == offset
            select ((long)stream, (long)offset, (long)offset + Bytes(path, stream, offset).Count);

        public bool Apply(Step step)
        {
            (Kind kind, int path, int stream, int offset, int length) = step;
            switch (kind)
            {
                case Kind.Add:
                    return TryFill(path, stream, offset, length);
                case Kind.RemoveStream:
                    Enumerable.Range(0, Paths).ToList().ForEach(each => Clear(each, stream, Enumerable.Range(0, Size * 2)));
                    return true;
                default:
                    List<int> bytes = offset < 0 ? [] : Bytes(path, stream, offset);
                    if (bytes.Count == 0)
                    {
                        return false;
                    }

                    Clear(path, stream, bytes);
                    if (kind == Kind.Remove || TryFill(path, stream, offset, length))
                    {
                        return true;
                    }

                    Assert.True(TryFill(path, stream, offset, bytes.Count));
                    return false;
            }
        }

        private bool TryFill(int path, int stream, int offset, int length)
        {
            if (offset < 0 || length <= 0 || Enumerable.Range(offset, length).Any(at => _starts[path, stream, at] is not null))
            {
                return false;
            }

            for (int at = offset; at < offset + length; at++)
            {
                _starts[path, stream, at] = offset;
            }

            return true;
        }

        private void Clear(int path, int stream, IEnumerable<int> bytes)
        {
            foreach (int at in bytes)
            {
                _starts[path, stream, at] = null;
            }
        }

        /// <summary>The bytes of the range that begins here; none when no range does.</summary>
        private List<int> Bytes(int path, int stream, int start) =>
            [.. Enumerable.Range(0, Size * 2).Where(at => _starts[path, stream, at] == start)];
    }
}
