namespace Kwik.Benchmarks;

/// <summary>
/// Runs what happens for every piece of payload and fails when it allocates: bytes, unlike times, are the same on every
/// machine.
/// </summary>
internal static class AllocationGate
{
    private const int Warmup = 2_000;
    private const int Rounds = 10_000;

    public static int Run()
    {
        var frames = new StreamFrameBenchmarks();
        var mappings = new StreamMappingBenchmarks();
        mappings.Setup();
        var aggregator = new OffsetAggregatorBenchmarks();
        aggregator.Setup();
        (string Name, Action Body)[] bodies =
        [
            ("frame encode", () => frames.Encode()),
            ("frame decode", () => frames.Decode()),
            ("frame encode and decode, with offset", () => frames.EncodeAndDecodeWithOffset()),
            ("payload through the writer", () => frames.Write()),
            ("payload through the reader", () => frames.Read()),
            ("mapping lookup, request", () => mappings.Request()),
            ("mapping lookup, target", () => mappings.Target()),
            ("grant lookup", () => mappings.Grant()),
            ("aggregator, in order", () => aggregator.InOrder()),
            ("aggregator, four sources", () => aggregator.FourSources()),
            ("aggregator, four sources, positioned", () => aggregator.FourSourcesPositioned()),
            ("aggregator, in order, read", () => aggregator.ReadInOrder()),
            ("aggregator, four sources, read", () => aggregator.ReadFourSources()),
        ];
        bool passed = true;
        foreach ((string name, Action body) in bodies)
        {
            passed &= AllocatesNothing(name, body);
        }

        return passed ? 0 : 1;
    }

    private static bool AllocatesNothing(string name, Action body)
    {
        Repeat(body, Warmup);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Repeat(body, Rounds);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Console.WriteLine($"{name}: {allocated / (double)Rounds:0.###} bytes a call (allowed: 0)");
        return allocated == 0;
    }

    private static void Repeat(Action body, int times)
    {
        for (int i = 0; i < times; i++)
        {
            body();
        }
    }
}
