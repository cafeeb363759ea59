using FsCheck;
using FsCheck.Fluent;
using Property = Kwik.Testing.Property;

namespace Kwik.Data.Tests;

/// <summary>The aggregator against <see cref="AggregatorModel"/>: every step of every run agrees, and no lease is lost.</summary>
public sealed class OffsetAggregatorModelTests
{
    private const int MaxPiece = 24;
    private const int MaxSteps = 50;

    // Small blocks are never left behind at this scale; large ones, and both together, at the other.
    private const int LargeScale = 397;

    private static readonly AggregatorStep Positioned = new(AggregatorStepKind.DeliverAnywhere);

    private readonly LeasePool _pool = new();

    [Fact]
    public void EveryOverlap_TenThousandSeeds_AgreesWithTheModel()
    {
        for (int seed = 0; seed < 10_000; seed++)
        {
            Run(seed, scale: 1);
        }
    }

    [Fact]
    public void Steps_OfPiecesUpToAWholeBlock_AgreeWithTheModel()
    {
        for (int seed = 0; seed < 60; seed++)
        {
            Run(seed, LargeScale);
        }
    }

    [Theory]
    [InlineData(ConflictResolution.FirstWins, false)]
    [InlineData(ConflictResolution.FirstWins, true)]
    [InlineData(ConflictResolution.LastWins, false)]
    [InlineData(ConflictResolution.LastWins, true)]
    [InlineData(ConflictResolution.PrimaryWins, false)]
    [InlineData(ConflictResolution.PrimaryWins, true)]
    [InlineData(ConflictResolution.Reject, false)]
    [InlineData(ConflictResolution.Reject, true)]
    public void Steps_Random_AgreeWithTheModel(ConflictResolution resolution, bool positioned)
    {
        var options = new AggregatorOptions { MaxPendingBytes = 90, MaxGaps = 3, ConflictResolution = resolution };
        Gen<AggregatorStep> steps =
            from kind in Gen.Choose(0, 19)
            from source in Gen.Choose(0, 3)
            from offset in Gen.Choose(-20, 100)
            from length in Gen.Choose(0, MaxPiece)
            from skew in Gen.Choose(-2, 3)
            select Step(kind, source, offset, length, Math.Max(0, skew));
        Property.HoldsForLists(
            steps,
            MaxSteps,
            list => new AggregatorRun(options, liars: 0b1010, SizeFor(options, scale: 1), new LeasePool())
                .Execute(positioned ? list.Prepend(Positioned) : list));
    }

    [Fact]
    public void Accept_EveryThreePiecesWithinSixBytes_AgreesWithTheModel()
    {
        AggregatorStep[] pieces =
        [
            .. from start in Enumerable.Range(0, 6)
               from length in Enumerable.Range(1, 6 - start)
               select new AggregatorStep(AggregatorStepKind.Accept, Offset: start, Length: length),
        ];
        foreach (ConflictResolution resolution in Enum.GetValues<ConflictResolution>())
        {
            var options = new AggregatorOptions { MaxPendingBytes = 64, ConflictResolution = resolution };
            foreach (AggregatorStep first in pieces)
            {
                foreach (AggregatorStep second in pieces)
                {
                    foreach (AggregatorStep third in pieces)
                    {
                        // Source 1 tells the truth; 2 and the primary do not.
                        AggregatorStep[] steps = [first with { Source = 1 }, second with { Source = 2 }, third with { Source = 0 }];
                        new AggregatorRun(options, liars: 0b101, size: 16, _pool).Execute(steps);

                        // And with what the first one brought delivered before the others come.
                        new AggregatorRun(options, liars: 0b101, size: 16, _pool).Execute(
                            [Positioned, steps[0], new(AggregatorStepKind.Take), steps[1], steps[2]]);
                    }
                }
            }
        }
    }

    private static int SizeFor(AggregatorOptions options, int scale) =>
        (int)options.MaxPendingBytes + ((MaxSteps + 1) * MaxPiece * scale) + (200 * scale);

    private static AggregatorStep Step(int kind, int source, int offset, int length, int skew) => kind switch
    {
        < 14 => new(AggregatorStepKind.Accept, source, offset, length, skew),
        < 17 => new(AggregatorStepKind.Take),
        < 18 => new(AggregatorStepKind.ReturnTaken),
        < 19 => new(AggregatorStepKind.Accept, source, 0, length, skew),
        _ => new(AggregatorStepKind.SetFinalSize, Offset: offset),
    };

    private void Run(int seed, int scale)
    {
        var random = new Random(seed);
        var options = new AggregatorOptions
        {
            MaxPendingBytes = random.Next(20, 160) * scale,
            MaxGaps = random.Next(1, 8),
            ConflictResolution = (ConflictResolution)random.Next(4),
        };
        int liars = random.Next(2) == 0 ? random.Next(16) : 0;
        var steps = new AggregatorStep[random.Next(1, MaxSteps)];
        for (int i = 0; i < steps.Length; i++)
        {
            steps[i] = Step(
                random.Next(20),
                random.Next(4),
                random.Next(-20 * scale, (int)options.MaxPendingBytes + (10 * scale)),
                random.Next(0, MaxPiece * scale),
                random.Next(4) == 0 ? random.Next(200) : 0);
        }

        // In order, positioned from the start, or from some step on.
        if (random.Next(3) is var mode and > 0)
        {
            steps[mode == 1 ? 0 : random.Next(steps.Length)] = Positioned;
        }

        try
        {
            new AggregatorRun(options, liars, SizeFor(options, scale), _pool).Execute(steps);
        }
        catch (Exception e)
        {
            Assert.Fail($"Seed {seed}, scale {scale}: {e}");
        }
    }
}
