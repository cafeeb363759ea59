namespace Kwik.Data.Tests;

public sealed class RangeSetTests
{
    [Fact]
    public void AddAndRemove_InRandomOrder_AgreeWithASetOfOffsets()
    {
        for (int seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            var ranges = new RangeSet();
            var model = new HashSet<long>();
            for (int i = 0; i < 100; i++)
            {
                // Ranges that are empty, or end before they begin, are nothing.
                (int start, int end) = (random.Next(60), random.Next(60));
                IEnumerable<long> offsets = Enumerable.Range(start, Math.Max(0, end - start)).Select(offset => (long)offset);
                if (random.Next(2) == 0)
                {
                    ranges.Add(start, end);
                    model.UnionWith(offsets);
                }
                else
                {
                    ranges.Remove(start, end);
                    model.ExceptWith(offsets);
                }

                AssertEqual(model, ranges, seed);
            }
        }
    }

    [Fact]
    public void Remove_OfNothingInTheMiddle_DoesNotSplitTheRange()
    {
        var ranges = new RangeSet();
        ranges.Add(0, 10);

        ranges.Remove(5, 5);
        ranges.Remove(7, 4);

        Assert.Equal([(0, 10)], ranges.Ranges);
        Assert.Equal(10, ranges.Count);
    }

    [Fact]
    public void Add_OfARangeThatTouchesTwo_JoinsThem()
    {
        var ranges = new RangeSet();
        ranges.Add(0, 10);
        ranges.Add(20, 30);
        ranges.Add(10, 20);

        Assert.Equal([(0, 30)], ranges.Ranges);
        Assert.Equal(30, ranges.Count);
    }

    private static void AssertEqual(HashSet<long> model, RangeSet ranges, int seed)
    {
        Assert.True(model.Count == ranges.Count && (model.Count == 0) == ranges.IsEmpty, $"Seed {seed}: {ranges.Count}, not {model.Count}");
        for (long offset = -1; offset < 61; offset++)
        {
            Assert.True(model.Contains(offset) == ranges.Contains(offset), $"Seed {seed}: {offset}");
            long end = offset;
            for (; model.Contains(end); end++)
            {
            }

            Assert.True(end == ranges.EndAt(offset), $"Seed {seed}: {offset} to {ranges.EndAt(offset)}");
            long[] later = [.. model.Where(other => other >= offset)];
            Assert.True(ranges.StartFrom(offset) == (later.Length == 0 ? null : later.Min()), $"Seed {seed}: after {offset}");
        }

        long last = -1;
        foreach ((long start, long end) in ranges.Ranges)
        {
            Assert.True(start < end && start > last, $"Seed {seed}: {start} to {end} overlaps or touches what ends at {last}");
            last = end;
        }
    }
}
