#!/bin/sh
# Trains the policies of the audit sets again (about half an hour on two cores) and writes them here. From the repository's root:
#     sh assets/audit/make.sh
set -e
pavlov="cargo run --release -q --"
out=target/audit

good() { # task, steps, checkpoint, more
    task=$1 steps=$2 which=$3; shift 3
    run=$out/$(echo "$task" | tr / _)
    $pavlov train "$task" --steps "$steps" --profile fast --set 'actor_hidden=[32,32]' --out "$run" "$@"
    $pavlov export "$run" --checkpoint "$which" --compact "assets/audit/$task.good.safetensors"
}
bad() { # task, name, reward, steps, more
    task=$1 name=$2 reward=$3 steps=$4; shift 4
    run=$out/$(echo "$task" | tr / _)-$name
    $pavlov train "$task" --reward "assets/audit/rewards/$reward.rhai" --steps "$steps" --profile fast --set 'actor_hidden=[32,32]' --out "$run" "$@"
    $pavlov export "$run" --compact "assets/audit/$task.$name.safetensors"
}

good cartpole_balance 400k best
good cartpole_swingup 3M best --seed 1
good half_cheetah_run 2M best
good gym/half_cheetah 2M best
good hopper_hop 5M best --seed 1
good gym/hopper 2M best
good walker_walk 3M best
good gym/walker2d 3M best
good ant_run 4M best
good gym/ant 4M best
good go1_velocity 8M best --set 'actor_hidden=[64,64]'
good humanoid_run 16M best --seed 1
good gym/humanoid 8M last
for posture in kneeling crouching on_back on_side sitting face_down; do
    good "humanoid_pose/$posture" 3M best --seed 1
done

bad half_cheetah_run onback cheetah_onback 1500k --set init_std=0.7
bad hopper_hop stand planar_stand 1500k
bad gym/hopper stand planar_stand 1500k
bad walker_walk stand planar_stand 1500k
bad gym/walker2d stand planar_stand 1500k
bad cartpole_swingup spin pole_spin 600k
bad ant_run spin ant_spin 1500k
bad gym/ant spin ant_spin 1500k
bad ant_run back ant_back 1500k
bad gym/ant back ant_back 1500k
bad humanoid_run stand humanoid_stand 2M
bad gym/humanoid stand humanoid_stand 2M
bad go1_velocity spin go1_spin 2M
bad go1_velocity back go1_back 2M
